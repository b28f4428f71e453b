//! The HTTP/2 side of a connection: handshake, driver, and the share that one request has of it.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use hyper::{client::conn::http2, rt};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;

use super::{
    Connection, History,
    driver::{ConnectionOwner, Driver},
    io::Io,
    liveness::PingTimer,
};
use crate::{
    body::Body,
    sender::{End, Sender},
};

/// Begins to speak HTTP/2. The number of streams is assumed until the server says how many it allows.
pub(crate) async fn open(
    io: Io,
    history: &Arc<History>,
    streams: usize,
    owner: Weak<dyn ConnectionOwner>,
) -> Result<(Opened, Driver), hyper::Error> {
    let frames = Frames::default();
    let (sender, connection) = http2::Builder::new(frames.clone())
        .timer(PingTimer(history.clone()))
        .initial_max_send_streams(streams)
        .keep_alive_interval(PingTimer::INTERVAL)
        .keep_alive_timeout(PingTimer::TIMEOUT)
        .handshake(TokioIo::new(io))
        .await?;
    let (opened, driver) = Http2Driver::new(sender, connection, &frames, history.clone(), owner);
    Ok((opened, Box::pin(driver)))
}

/// A new HTTP/2 connection, as a dial returns it.
pub(crate) struct Opened {
    pub(crate) id: u64,
    pub(crate) sender: Sender<http2::SendRequest<Body>>,
    pub(crate) runtime: Handle,
    pub(crate) history: Arc<History>,
    pub(crate) limit: usize,
}

/// The share that one request has of an HTTP/2 connection. Dropping it makes room for the next request.
pub(crate) struct Share {
    owner: Weak<dyn ConnectionOwner>,
    id: u64,
    replied: Arc<AtomicBool>,
    spare: Option<Connection>,
}

impl Share {
    pub(crate) fn new(owner: Weak<dyn ConnectionOwner>, id: u64, replied: Arc<AtomicBool>) -> Self {
        Self { owner, id, replied, spare: None }
    }

    /// Whether any reply has come over the connection.
    pub(crate) fn has_replied(&self) -> bool {
        self.replied.load(Ordering::Relaxed)
    }

    pub(crate) fn replied(&self) {
        self.replied.store(true, Ordering::Relaxed);
    }

    /// The request is done. Another request can use its `spare` sending half.
    pub(crate) fn finish(mut self, spare: Connection) {
        self.spare = Some(spare);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.stream_ended(self.id, self.spare.take());
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Receives the future that reads and writes the frames of an HTTP/2 connection. hyper hands it over during the
/// handshake. Later futures, of single streams, become tasks.
///
/// The connection's own task runs this future in turn with the one that opens streams. So no GOAWAY can arrive
/// between the opening of a stream and the moment when hyper checks whether that worked. Therefore a stream that
/// fails with a GOAWAY of the server is always above the last stream that the GOAWAY names.
#[derive(Clone, Default)]
struct Frames(Arc<Mutex<Slot>>);

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Frames(Driver),
    Taken,
}

impl Frames {
    fn take(&self) -> Option<Driver> {
        match std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), Slot::Taken) {
            Slot::Frames(frames) => Some(frames),
            Slot::Empty | Slot::Taken => None,
        }
    }
}

impl<F> rt::Executor<F> for Frames
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Slot::Empty = *slot {
            *slot = Slot::Frames(Box::pin(future));
        } else {
            drop(slot);
            tokio::spawn(future);
        }
    }
}

/// Runs an HTTP/2 connection: the future that opens streams, and the one that reads and writes frames.
struct Http2Driver {
    // Dropped when it takes no more requests, as after a GOAWAY. Streams that are open continue.
    requests: Option<Http2>,
    // Dropped after `requests`.
    end: Option<End<http2::SendRequest<Body>>>,
    frames: Option<Driver>,
    owner: Weak<dyn ConnectionOwner>,
    history: Arc<History>,
    id: u64,
    // How many streams the server allows.
    limit: usize,
}

type Http2 = http2::Connection<TokioIo<Io>, Body, Frames>;

impl Http2Driver {
    fn new(
        sender: http2::SendRequest<Body>,
        requests: Http2,
        frames: &Frames,
        history: Arc<History>,
        owner: Weak<dyn ConnectionOwner>,
    ) -> (Opened, Self) {
        // Distinguishes the connections to one origin.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let limit = requests.current_max_send_streams();
        let (sender, end) = Sender::new(sender);
        let (requests, end, frames) = (Some(requests), Some(end), frames.take());
        let driver = Self { requests, end, frames, owner, history: history.clone(), id, limit };
        (Opened { id, sender, runtime: Handle::current(), history, limit }, driver)
    }

    /// Tells the pool if the server now allows another number of streams.
    fn look_at_limit(&mut self) {
        let Some(requests) = &self.requests else { return };
        let limit = requests.current_max_send_streams();
        if limit != self.limit {
            self.limit = limit;
            if let Some(owner) = self.owner.upgrade() {
                owner.limit_streams(self.id, limit);
            }
        }
    }
}

impl Future for Http2Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if this.requests.as_mut().is_some_and(|requests| Pin::new(requests).poll(cx).is_ready()) {
                this.requests = None;
                this.end = None;
            }
            let Some(frames) = &mut this.frames else { return Poll::Ready(()) };
            if frames.as_mut().poll(cx).is_pending() {
                break;
            }
            // Dropping it tells the other future that the connection has ended.
            this.frames = None;
        }
        this.look_at_limit();
        if this.history.liveness.take_answer()
            && let Some(owner) = this.owner.upgrade()
        {
            owner.answered();
        }
        Poll::Pending
    }
}
