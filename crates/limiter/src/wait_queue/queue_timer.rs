//! The one timer of a wait queue. It wakes the queue itself and not a waiter.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use outbound_timer::Timer;
use tokio::{task::coop, time::Instant};

/// A timer that is polled under the lock of the queue, and wakes the queue.
///
/// Its waker takes the lock, so the waker must never be called while the lock is held. Tokio calls a waker inside a poll
/// or a reset in two cases. One is an empty cooperative budget: the poll here is unconstrained. The other is a registered
/// timer that is moved to an instant in the past: here the timer is replaced instead.
#[derive(Debug)]
pub(super) struct QueueTimer {
    timer: Pin<Box<Timer>>,
    /// The instant of the registered wake-up, which is not later than the deadline of the timer. `None` if none is
    /// registered.
    registered: Option<Instant>,
}

impl QueueTimer {
    pub(super) fn new() -> Self {
        Self { timer: Box::pin(Timer::new()), registered: None }
    }

    /// Makes sure that `waker` is woken at `at` or before. Ready if `at` has passed. It needs a runtime.
    pub(super) fn register(&mut self, at: Instant, waker: &Waker) -> Poll<()> {
        if self.registered.is_some_and(|registered| registered > at) {
            self.clear();
        }
        if self.registered.is_some() {
            // The wake-up comes early, and the next one is registered then.
            return Poll::Pending;
        }
        self.timer.as_mut().set(at);
        let poll = poll_fn(|cx| self.timer.as_mut().poll_elapsed(cx));
        let elapsed = pin!(coop::unconstrained(poll)).poll(&mut Context::from_waker(waker));
        self.registered = elapsed.is_pending().then_some(at);
        elapsed
    }

    /// Whether a registered wake-up comes at `at` or before.
    pub(super) fn is_due_by(&self, at: Instant) -> bool {
        self.registered.is_some_and(|registered| registered <= at)
    }

    /// The wake-up has come. `false` means that its runtime has ended, and a waiter must be woken to register the next
    /// wake-up.
    ///
    /// Tokio's wake-ups never come early, except from a runtime that is being shut down. The timers of such a runtime panic
    /// when they are polled again, so the timer is dropped. A task on another runtime registers the next.
    pub(super) fn fired(&mut self, now: Instant) -> bool {
        let runtime_lives = self.registered.take().is_some_and(|registered| registered <= now);
        if !runtime_lives {
            self.clear();
        }
        runtime_lives
    }

    pub(super) fn clear(&mut self) {
        if self.timer.deadline().is_some() {
            self.timer.set(Timer::new());
        }
        self.registered = None;
    }
}
