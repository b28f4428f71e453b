//! Whether an HTTP/2 connection still answers.
//!
//! A limit that passes on one stream may be the first sign that the whole connection is dead. So the connection
//! becomes suspect: it is pinged at once, and gets no new streams until it answers.
//!
//! hyper sends pings itself, when its timer says that nothing was read for some time, and does not report the result.
//! So this module supplies hyper's timer. The timer fires early if a ping is wanted, and recognizes by hyper's next
//! call whether the ping was answered.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyper::rt;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::History;

#[derive(Debug, Default)]
pub(crate) struct Liveness {
    state: AtomicU8,
    // The waker of the connection's task.
    waker: Mutex<Option<Waker>>,
}

impl Liveness {
    const ALIVE: u8 = 0;
    /// A ping is wanted.
    const PING_WANTED: u8 = 1;
    /// The ping was sent.
    const PING_SENT: u8 = 2;
    /// The ping was answered, and the pool does not know it yet.
    const ANSWERED: u8 = 3;

    /// A limit has passed on a stream of the connection.
    pub(crate) fn suspect(&self) {
        if self.change(Self::ALIVE, Self::PING_WANTED) || self.change(Self::ANSWERED, Self::PING_WANTED) {
            let waker = self.waker.lock().clone();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Whether the connection must get no new streams.
    #[inline]
    pub(crate) fn is_suspected(&self) -> bool {
        self.state.load(Ordering::Acquire) != Self::ALIVE
    }

    /// Whether the connection has just answered.
    #[inline]
    pub(super) fn take_answer(&self) -> bool {
        self.is_suspected() && self.change(Self::ANSWERED, Self::ALIVE)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The timer that hyper uses for pings.
pub(super) struct PingTimer(pub(super) Arc<History>);

impl PingTimer {
    // A dead connection with a request is found within 80 s. A connection without a request is not pinged.
    pub(super) const INTERVAL: Duration = Duration::from_secs(60);
    pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

    fn now() -> std::time::Instant {
        Instant::now().into_std()
    }

    fn until(&self, deadline: std::time::Instant, for_answer: bool) -> Pin<Box<dyn rt::Sleep>> {
        let sleep = Box::pin(tokio::time::sleep_until(deadline.into()));
        Box::pin(PingSleep { sleep, history: self.0.clone(), for_answer, waker: None })
    }
}

impl rt::Timer for PingTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.until(Self::now() + duration, false)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.until(deadline, false)
    }

    fn now(&self) -> std::time::Instant {
        Self::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: std::time::Instant) {
        // After a ping hyper waits for `TIMEOUT` from now on; otherwise it waits for `INTERVAL` since its last read.
        // If something was read 40 s ago, both are the same instant and one may be taken for the other. Then the ping
        // is sent that much later.
        let left = deadline.saturating_duration_since(Self::now());
        let for_answer = left <= Self::TIMEOUT && left > Self::TIMEOUT - Duration::from_secs(1);
        let liveness = &self.0.liveness;
        if for_answer {
            liveness.change(Liveness::PING_WANTED, Liveness::PING_SENT);
        } else {
            liveness.change(Liveness::PING_SENT, Liveness::ANSWERED);
        }
        *sleep = self.until(deadline, for_answer);
    }
}

struct PingSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    history: Arc<History>,
    // Whether this is the wait for an answer. If not, it is the wait until the next ping, which may be cut short.
    for_answer: bool,
    // The waker that is registered.
    waker: Option<Waker>,
}

impl rt::Sleep for PingSleep {}

impl Future for PingSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.for_answer {
            if this.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                this.waker = Some(cx.waker().clone());
                *this.history.liveness.waker.lock() = this.waker.clone();
            }
            if this.history.liveness.state.load(Ordering::Acquire) == Liveness::PING_WANTED {
                return Poll::Ready(());
            }
        }
        this.sleep.as_mut().poll(cx)
    }
}
