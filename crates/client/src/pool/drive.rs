use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use hyper::{client::conn::http2, rt};
use hyper_util::rt::TokioIo;
use outbound_timer::Timer;
use tokio::time::Instant;

use super::{Opened, Pool};
use crate::{body::Body, io::Io};

/// What reads and writes a connection until it is closed.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a connection to its end, and closes idle ones in passing.
pub(super) async fn drive(mut driver: Driver, pool: &Weak<Pool>) {
    let mut timer = pin!(Timer::new());
    let sweep = || pool.upgrade()?.sweep(Instant::now());
    if let Some(next) = sweep() {
        timer.as_mut().set(next);
    }
    poll_fn(|cx| {
        if driver.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while timer.as_mut().poll_elapsed(cx).is_ready() {
            match sweep() {
                Some(next) => timer.as_mut().set(next),
                None => timer.as_mut().clear(),
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

type Http2 = http2::Connection<TokioIo<Io>, Body, Frames>;

pub(super) fn drive_http2(
    sender: http2::SendRequest<Body>,
    connection: Http2,
    frames: &Frames,
    pool: Weak<Pool>,
) -> (Opened, Driver) {
    // Tells connections of an origin apart.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut limit = connection.current_max_send_streams();
    let opened = Opened { id, sender, limit };
    let mut frames = frames.take();
    let mut connection = Some(connection);
    let driver = poll_fn(move |cx| {
        loop {
            if connection.as_mut().is_some_and(|requests| Pin::new(requests).poll(cx).is_ready()) {
                connection = None;
            }
            let Some(reader) = &mut frames else { return Poll::Ready(()) };
            if reader.as_mut().poll(cx).is_pending() {
                break;
            }
            // That it is gone tells the other one.
            frames = None;
        }
        if let Some(requests) = &connection {
            let allowed = requests.current_max_send_streams();
            if allowed != limit {
                limit = allowed;
                if let Some(pool) = pool.upgrade() {
                    pool.limit_streams(id, limit);
                }
            }
        }
        Poll::Pending
    });
    (opened, Box::pin(driver))
}
