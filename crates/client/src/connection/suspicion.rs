//! Whether an HTTP/2 connection still answers.
//!
//! A limit that passes on one stream may be the first sign that the whole connection is dead. So it makes its
//! connection a suspect: that is pinged at once, and gets no new streams until it answers.
//!
//! hyper sends pings itself, when a timer tells it that nothing has been read for a while, and shows nothing of them. So
//! its timer is ours: it rings early where a ping is wanted, and sees by what is asked of it next how the ping went.

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
pub(crate) struct Suspicion {
    state: AtomicU8,
    // Of the connection's task.
    waker: Mutex<Option<Waker>>,
}

impl Suspicion {
    const NONE: u8 = 0;
    /// A ping is to be sent.
    const RAISED: u8 = 1;
    /// It was sent.
    const PINGED: u8 = 2;
    /// It was answered, and the pool does not know yet.
    const ANSWERED: u8 = 3;

    /// A limit has passed on a stream of the connection.
    pub(crate) fn raise(&self) {
        if self.change(Self::NONE, Self::RAISED) || self.change(Self::ANSWERED, Self::RAISED) {
            let waker = self.waker.lock().clone();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Whether the connection is to get no new streams.
    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        self.state.load(Ordering::Acquire) != Self::NONE
    }

    /// Whether it has just answered.
    #[inline]
    pub(super) fn take_answer(&self) -> bool {
        self.is_raised() && self.change(Self::ANSWERED, Self::NONE)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// hyper's timer for pings.
pub(super) struct PingTimer(pub(super) Arc<History>);

impl PingTimer {
    // Found dead within 80 s with a request under way; a connection without one is not disturbed.
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
        // After a ping hyper waits for `TIMEOUT` from now on, and else for `INTERVAL` since it last read something. Where
        // the one is taken for the other, because something was read 40 s ago, the ping is that much late.
        let left = deadline.saturating_duration_since(Self::now());
        let for_answer = left <= Self::TIMEOUT && left > Self::TIMEOUT - Duration::from_secs(1);
        let suspicion = &self.0.suspicion;
        if for_answer {
            suspicion.change(Suspicion::RAISED, Suspicion::PINGED);
        } else {
            suspicion.change(Suspicion::PINGED, Suspicion::ANSWERED);
        }
        *sleep = self.until(deadline, for_answer);
    }
}

struct PingSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    history: Arc<History>,
    // Not an interval, which may be cut short.
    for_answer: bool,
    // The one that is registered.
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
                *this.history.suspicion.waker.lock() = this.waker.clone();
            }
            if this.history.suspicion.state.load(Ordering::Acquire) == Suspicion::RAISED {
                return Poll::Ready(());
            }
        }
        this.sleep.as_mut().poll(cx)
    }
}
