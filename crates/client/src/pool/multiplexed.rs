//! HTTP/2 connections, which requests share.

use std::sync::{Arc, Weak, atomic::AtomicBool};

use hyper::client::conn::http2;
use tokio::{runtime::Handle, time::Instant};

use super::{Pool, PoolSettings};
use crate::{
    body::Body,
    connection::{Connection, History, Opened, Share},
    reused_timer::ReusedTimer,
    sender::Sender,
};

/// An HTTP/2 connection. Requests share it, up to the server's limit on streams.
pub(super) struct Multiplexed {
    pub(super) id: u64,
    sender: Sender<http2::SendRequest<Body>>,
    // The runtime that drives the connection. The timers of requests on the connection belong to it.
    runtime: Handle,
    history: Arc<History>,
    /// How many streams the server allows at a time (`SETTINGS_MAX_CONCURRENT_STREAMS`).
    pub(super) limit: usize,
    /// How many requests are on it now.
    pub(super) streams: usize,
    /// How many requests it was taken for so far.
    requests: u64,
    /// When it becomes too old.
    pub(super) ends: Option<Instant>,
    /// Since when it has had no request, if it has none.
    pub(super) idle_since: Instant,
    /// Whether any reply came over it.
    replied: Arc<AtomicBool>,
    /// Sending halves of finished requests, for the next ones. There are never more than there were streams at the
    /// same time.
    spare: Vec<Connection>,
}

impl Multiplexed {
    pub(super) fn new(opened: Opened, now: Instant, ends: Option<Instant>) -> Self {
        let Opened { id, sender, runtime, history, limit } = opened;
        Self {
            id,
            sender,
            runtime,
            history,
            limit,
            streams: 0,
            requests: 0,
            ends,
            idle_since: now,
            replied: Arc::default(),
            spare: Vec::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        // A server that allows no stream at the moment gets one all the same: another connection would not help.
        self.streams < self.limit.max(1) && !self.is_suspect()
    }

    /// Whether it is uncertain that the server still answers on it.
    pub(super) fn is_suspect(&self) -> bool {
        self.history.liveness.is_suspected()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.lock().as_ref().is_none_or(http2::SendRequest::is_closed)
    }

    /// Whether it takes no more requests, because of its age or of how many it had.
    pub(super) fn is_spent(&self, now: Instant, settings: &PoolSettings) -> bool {
        settings.is_spent(self.ends, self.requests, now)
    }

    /// The share of one request.
    pub(super) fn connection(&mut self, pool: &Weak<Pool>, now: Instant) -> Connection {
        let share = Share::new(pool.clone(), self.id, self.replied.clone());
        let mut connection = self.spare.pop().unwrap_or_else(|| {
            let _context = self.runtime.enter();
            Connection::http2(self.sender.clone(), self.history.clone(), ReusedTimer::new(now))
        });
        connection.begin(share);
        connection.reused = self.requests > 0;
        connection.idle = (self.streams == 0 && connection.reused).then_some((self.idle_since, now));
        self.streams += 1;
        self.requests += 1;
        connection
    }

    fn end(&mut self, spare: Option<Connection>, now: Instant) {
        self.streams -= 1;
        if self.streams == 0 {
            self.idle_since = now;
        }
        self.spare.extend(spare);
    }
}

impl Pool {
    pub(super) fn end_stream(&self, id: u64, spare: Option<Connection>) {
        let now = Instant::now();
        self.change(now, |state, after_unlock| {
            // A connection that is to be closed is no longer in the list: it ends by itself with its last stream.
            let Some(connection) = state.multiplexed.iter_mut().find(|connection| connection.id == id) else {
                return;
            };
            connection.end(spare, now);
            // A connection without a stream is not pinged, so a suspected one would stay suspected.
            let is_wanted = state.waiters.is_empty() && self.permits.are_wanted();
            if connection.streams == 0 && (is_wanted || connection.is_suspect()) {
                after_unlock.close_multiplexed(&mut state.multiplexed, |connection| connection.id == id);
            }
            state.serve_streams(&self.this, now, &self.settings, after_unlock);
        });
    }

    /// A suspected connection has answered.
    pub(super) fn serve_again(&self) {
        let now = Instant::now();
        self.change(now, |state, after_unlock| {
            state.serve_streams(&self.this, now, &self.settings, after_unlock);
        });
    }

    /// The server now allows another number of streams.
    pub(super) fn set_stream_limit(&self, id: u64, limit: usize) {
        let now = Instant::now();
        self.change(now, |state, after_unlock| {
            if let Some(connection) = state.multiplexed.iter_mut().find(|connection| connection.id == id) {
                connection.limit = limit;
                state.streams_each = limit.max(1);
                state.serve_streams(&self.this, now, &self.settings, after_unlock);
            }
        });
    }
}
