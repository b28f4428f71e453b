//! The state of a pool, under the pool's lock.

mod waiting;

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Pool, PoolSettings,
    after_unlock::AfterUnlock,
    dial_progress::DialProgress,
    early::EarlyEnds,
    idle::{Idle, IdleAges},
    multiplexed::Multiplexed,
    waiter::Waiter,
};
use crate::{
    connect::Dialer,
    connection::{Connection, Opened},
    limit_timer::earliest,
    origin::Origin,
};

/// What the lock of a pool guards.
pub(super) struct State {
    /// HTTP/1.1 connections without a request. The one that was used last is at the back.
    pub(super) idle: VecDeque<Idle>,
    /// HTTP/2 connections, which requests share. A connection that takes no more requests is removed from here.
    pub(super) multiplexed: Vec<Multiplexed>,
    /// The protocol that connections to this origin speak, once it is known.
    pub(super) protocol: Option<Protocol>,
    /// How many streams the server last allowed on one connection.
    pub(super) streams_each: usize,
    /// Transports that are open or being opened; never more than `PoolSettings::max_connections_per_origin`.
    pub(super) open: usize,
    /// How many of them are being opened.
    pub(super) dialing: usize,
    /// How many of them were open at the last drain.
    pub(super) old: usize,
    /// How many times the pool was drained.
    pub(super) generation: u32,
    /// Dials that wait for a permit over all origins.
    pub(super) claims: usize,
    /// In order of arrival.
    pub(super) waiters: VecDeque<Arc<Waiter>>,
    /// How many waiters, from the front, were told that a dial runs for them.
    pub(super) notified: usize,
    /// How many of those waiters lost their dial: it ended and served other waiters.
    lost_dial: usize,
    /// Dials under way that could serve more waiters than follow them.
    pub(super) spare: Vec<Arc<DialProgress>>,
    /// Dials under way that have taken longer than a later request would wait. They continue, but no waiter counts on
    /// them.
    overdue: Vec<Arc<DialProgress>>,
    /// How long idle connections can be expected to stay open.
    pub(super) ages: IdleAges,
    /// Whether HTTP/1.1 connections end right after their replies.
    pub(super) early_ends: EarlyEnds,
    /// Whether no request gets a connection any more.
    pub(super) closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// The protocol that connections to an origin will speak, if that does not depend on the server.
    pub(super) fn known(dialer: &Dialer, origin: &Origin) -> Option<Self> {
        if dialer.http2_prior_knowledge {
            Some(Self::Http2)
        } else if origin.is_https() && dialer.tls.offers_http2() {
            None
        } else {
            Some(Self::Http1)
        }
    }
}

impl State {
    // RFC 9113, section 6.5.2, asks servers to allow at least this many. Assumed until a server says what it allows.
    const STREAMS_EACH: usize = 100;

    pub(super) fn new(protocol: Option<Protocol>, closed: bool) -> Self {
        Self {
            idle: VecDeque::new(),
            multiplexed: Vec::new(),
            protocol,
            streams_each: Self::STREAMS_EACH,
            open: 0,
            dialing: 0,
            old: 0,
            generation: 0,
            claims: 0,
            waiters: VecDeque::new(),
            notified: 0,
            lost_dial: 0,
            spare: Vec::new(),
            overdue: Vec::new(),
            ages: IdleAges::default(),
            early_ends: EarlyEnds::default(),
            closed,
        }
    }

    /// How many waiters one more connection would serve. All, as long as the origin may speak HTTP/2.
    pub(super) fn each(&self) -> usize {
        match self.protocol {
            Some(Protocol::Http1) => 1,
            Some(Protocol::Http2) => self.streams_each,
            None => usize::MAX,
        }
    }

    pub(super) fn find(
        &mut self,
        pool: &Weak<Pool>,
        now: Instant,
        fresh: bool,
        settings: &PoolSettings,
        after_unlock: &mut AfterUnlock,
    ) -> Option<Connection> {
        if let Some(connection) = self.share(pool, now, settings, after_unlock) {
            return Some(connection);
        }
        while let Some(mut idle) = if fresh { None } else { self.idle.pop_back() } {
            if idle.connection.is_closed() {
                self.ended(&idle.connection, now.duration_since(idle.since), now);
                after_unlock.work().close.push(idle.connection);
            } else if idle.is_expired(now) {
                after_unlock.work().close.push(idle.connection);
            } else if self.ages.limit(now).is_some_and(|limit| now.duration_since(idle.since) >= limit) {
                // All other idle connections are older. It is kept to see when the server closes it.
                self.idle.push_back(idle);
                return None;
            } else {
                idle.connection.idle = Some((idle.since, now));
                return Some(idle.connection);
            }
        }
        None
    }

    /// A share of the first HTTP/2 connection with room. If there are more connections than needed, the later ones
    /// become idle.
    fn share(
        &mut self,
        pool: &Weak<Pool>,
        now: Instant,
        settings: &PoolSettings,
        after_unlock: &mut AfterUnlock,
    ) -> Option<Connection> {
        if self.multiplexed.is_empty() {
            return None;
        }
        self.remove_closed_multiplexed(now, after_unlock);
        after_unlock
            .close_multiplexed(&mut self.multiplexed, |connection| connection.is_spent(now, settings));
        let limit = self.ages.limit(now);
        let is_young = |connection: &Multiplexed| {
            connection.streams > 0
                || limit.is_none_or(|limit| now.duration_since(connection.idle_since) < limit)
        };
        let room =
            self.multiplexed.iter_mut().find(|connection| connection.has_room() && is_young(connection));
        Some(room?.connection(pool, now))
    }

    /// Serves as many waiters as the HTTP/2 connections have room for.
    pub(super) fn serve_streams(
        &mut self,
        pool: &Weak<Pool>,
        now: Instant,
        settings: &PoolSettings,
        after_unlock: &mut AfterUnlock,
    ) {
        while let Some(waiter) = self.waiters.front().cloned() {
            let Some(connection) = self.share(pool, now, settings, after_unlock) else { return };
            self.next_waiter();
            after_unlock.work().wake.extend(waiter.serve(Ok(connection)));
        }
    }

    pub(super) fn add_multiplexed(&mut self, opened: Opened, now: Instant, settings: &PoolSettings) {
        self.streams_each = opened.limit.max(1);
        self.multiplexed.push(Multiplexed::new(opened, now, settings.ends(now)));
    }

    pub(super) fn add_idle(
        &mut self,
        mut connection: Connection,
        now: Instant,
        settings: &PoolSettings,
        after_unlock: &mut AfterUnlock,
    ) {
        // From now on it may be closed before a request uses it, like any connection that was used before.
        connection.reused = true;
        let stay = earliest(settings.idle_timeout, connection.keep_alive.timeout);
        let expires = earliest(stay.and_then(|stay| now.checked_add(stay)), connection.ends);
        self.idle.push_back(Idle { connection, since: now, expires });
        // Of the connections that are too old to be used, the oldest one is enough to see what the server does.
        let limit = self.ages.limit(now);
        while self.idle.len() > settings.max_idle_per_origin
            || self.idle.get(1).is_some_and(|idle| limit.is_some_and(|limit| now - idle.since >= limit))
        {
            let second = usize::from(self.idle.len() <= settings.max_idle_per_origin);
            after_unlock.work().close.extend(self.idle.remove(second).map(|idle| idle.connection));
        }
    }

    /// Removes connections that the server has closed, and learns from their ages.
    pub(super) fn remove_closed(&mut self, now: Instant, after_unlock: &mut AfterUnlock) {
        self.remove_closed_multiplexed(now, after_unlock);
        if self.idle.iter().any(|idle| idle.connection.is_closed()) {
            let (closed, idle) = self.idle.drain(..).partition(|idle| idle.connection.is_closed());
            self.idle = idle;
            for idle in VecDeque::into_iter(closed) {
                self.ended(&idle.connection, now.duration_since(idle.since), now);
                after_unlock.work().close.push(idle.connection);
            }
        }
    }

    /// The server ended a connection that had been idle for `age`.
    pub(super) fn ended(&mut self, connection: &Connection, age: Duration, now: Instant) {
        if connection.history.has_ended() {
            self.ages.closed(age, now);
            self.early_ends.closed(age, connection.requests, now);
        }
    }

    fn remove_closed_multiplexed(&mut self, now: Instant, after_unlock: &mut AfterUnlock) {
        let ages = &mut self.ages;
        after_unlock.close_multiplexed(&mut self.multiplexed, |connection| {
            if connection.is_closed() && connection.streams == 0 {
                ages.closed(now.duration_since(connection.idle_since), now);
            }
            connection.is_closed()
        });
    }

    /// Closes connections that were idle or open for too long. Returns when the next one will be due.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        settings: &PoolSettings,
        after_unlock: &mut AfterUnlock,
    ) -> Option<Instant> {
        let outlasted =
            |since: Instant| settings.idle_timeout.filter(|limit| now.duration_since(since) >= *limit);
        if self.idle.iter().any(|idle| idle.is_expired(now)) {
            let (expired, idle) = self.idle.drain(..).partition(|idle| idle.is_expired(now));
            self.idle = idle;
            for idle in VecDeque::into_iter(expired) {
                if let Some(age) = outlasted(idle.since) {
                    self.ages.outlasted(|| age, now);
                }
                after_unlock.work().close.push(idle.connection);
            }
        }
        let ages = &mut self.ages;
        after_unlock.close_multiplexed(&mut self.multiplexed, |connection| {
            let outlasted = outlasted(connection.idle_since).filter(|_| connection.streams == 0);
            if let Some(age) = outlasted {
                ages.outlasted(|| age, now);
            }
            outlasted.is_some() || connection.is_spent(now, settings)
        });
        let idle = self.idle.iter().filter_map(|idle| idle.expires);
        let unused = self.multiplexed.iter().filter(|connection| connection.streams == 0);
        let unused =
            unused.filter_map(|connection| connection.idle_since.checked_add(settings.idle_timeout?));
        let ends = self.multiplexed.iter().filter_map(|connection| connection.ends);
        idle.chain(unused).chain(ends).min()
    }

    /// Since when the connection that was idle for longest has been idle.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let unused = self.multiplexed.iter().filter(|connection| connection.streams == 0);
        let idle = self.idle.iter().map(|idle| idle.since);
        idle.chain(unused.map(|connection| connection.idle_since)).min()
    }

    pub(super) fn close_oldest(&mut self, after_unlock: &mut AfterUnlock) {
        let Some(oldest) = self.idle_since() else { return };
        if self.idle.front().is_some_and(|idle| idle.since == oldest) {
            after_unlock.work().close.extend(self.idle.pop_front().map(|idle| idle.connection));
            return;
        }
        let is_oldest = |connection: &Multiplexed| connection.streams == 0 && connection.idle_since == oldest;
        if let Some(position) = self.multiplexed.iter().position(is_oldest) {
            after_unlock.work().multiplexed.push(self.multiplexed.remove(position));
        }
    }
}
