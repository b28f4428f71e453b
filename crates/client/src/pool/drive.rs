use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use hyper::{
    client::conn::{http1, http2},
    rt,
};
use hyper_util::rt::TokioIo;
use outbound_timer::Timer;
use tokio::{runtime::Handle, time::Instant};

use super::{Opened, Pool};
use crate::{
    alarm::Flag,
    body::Body,
    connection::History,
    io::Io,
    look::Looking,
    sender::{End, Sender},
};

/// What reads and writes a connection until it is closed.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a connection to its end, and closes idle ones in passing.
pub(super) async fn drive(driver: Driver, history: &History, pool: &Weak<Pool>) {
    let mut looking = Looking::new(&history.looks);
    // Dropped before who waits for a look is told that there is none any more.
    let mut driver = driver;
    let mut timer = pin!(Timer::new());
    let sweep = || pool.upgrade()?.sweep(Instant::now());
    if let Some(next) = sweep() {
        timer.as_mut().set(next);
    }
    // The connection wakes this task several times in a request, the timer hardly ever. This is a task's own future, so
    // its waker is one and the same.
    let mut flag = None;
    poll_fn(|cx| {
        if driver.as_mut().poll(cx).is_ready() {
            history.end();
            return Poll::Ready(());
        }
        let flag = flag.get_or_insert_with(|| {
            looking.begin(cx);
            Flag::raised(cx.waker())
        });
        looking.turn(cx);
        if flag.take() {
            let waker = Waker::from(flag.clone());
            let mut cx = Context::from_waker(&waker);
            while timer.as_mut().poll_elapsed(&mut cx).is_ready() {
                match sweep() {
                    Some(next) => timer.as_mut().set(next),
                    None => timer.as_mut().clear(),
                }
            }
        }
        Poll::Pending
    })
    .await;
}

/// Where hyper leaves the future that reads and writes an HTTP/2 connection's frames, which it makes with the
/// handshake. Later ones, of single streams, become tasks.
///
/// The connection's own task runs it, in turn with the one that opens streams. So no GOAWAY arrives between the
/// opening of a stream and hyper's look at whether that went well; a stream that fails with a GOAWAY of the server's is
/// one above the last that it names, and nothing else.
#[derive(Clone, Default)]
pub(super) struct Frames(Arc<Mutex<Slot>>);

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

/// Runs an HTTP/1.1 connection.
pub(super) struct Http1Driver {
    pub(super) connection: http1::Connection<TokioIo<Io>, Body>,
    // Dropped after the connection.
    pub(super) _end: End<http1::SendRequest<Body>>,
}

impl Future for Http1Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(cx).map(drop)
    }
}

/// Runs an HTTP/2 connection: what opens streams, and what reads and writes frames.
pub(super) struct Http2Driver {
    // Taken when it takes no more requests, as after a GOAWAY; the streams that there are go on.
    requests: Option<Http2>,
    // Dropped after it.
    end: Option<End<http2::SendRequest<Body>>>,
    frames: Option<Driver>,
    pool: Weak<Pool>,
    history: Arc<History>,
    id: u64,
    // How many streams the server allows.
    limit: usize,
}

type Http2 = http2::Connection<TokioIo<Io>, Body, Frames>;

impl Http2Driver {
    pub(super) fn new(
        sender: http2::SendRequest<Body>,
        requests: Http2,
        frames: &Frames,
        history: Arc<History>,
        pool: Weak<Pool>,
    ) -> (Opened, Self) {
        // Tells connections of an origin apart.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let limit = requests.current_max_send_streams();
        let (sender, end) = Sender::new(sender);
        let (requests, end, frames) = (Some(requests), Some(end), frames.take());
        let driver = Self { requests, end, frames, pool, history: history.clone(), id, limit };
        (Opened { id, sender, runtime: Handle::current(), history, limit }, driver)
    }

    /// Tells the pool when the server allows another number of streams.
    fn look_at_limit(&mut self) {
        let Some(requests) = &self.requests else { return };
        let limit = requests.current_max_send_streams();
        if limit != self.limit {
            self.limit = limit;
            if let Some(pool) = self.pool.upgrade() {
                pool.limit_streams(self.id, limit);
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
            // That it is gone tells the other one.
            this.frames = None;
        }
        this.look_at_limit();
        if this.history.suspicion.take_answer()
            && let Some(pool) = this.pool.upgrade()
        {
            pool.answered();
        }
        Poll::Pending
    }
}
