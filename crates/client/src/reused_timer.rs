//! A timer that a connection keeps from request to request, and a waker that remembers that it was called.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use outbound_timer::Timer;
use tokio::time::Instant;

/// A timer that stays registered from one wait to the next, and from one request on a connection to the next.
///
/// Most waits end before their limit. The wake-up that was registered for such a wait has not fired yet. The next
/// wait uses it again, if its own limit is later and the task is the same. This costs a comparison.
pub(crate) struct ReusedTimer {
    timer: Pin<Box<Timer>>,
    // The task that the registered wake-up wakes.
    waker: Waker,
}

impl ReusedTimer {
    /// A timer of the current runtime. It is registered there, and must not outlive that runtime.
    pub(crate) fn new(now: Instant) -> Self {
        let mut timer = Box::pin(Timer::new());
        if let Some(far) = now.checked_add(std::time::Duration::from_secs(3600)) {
            timer.as_mut().set(far);
        }
        let waker = Waker::noop().clone();
        let _ = timer.as_mut().poll_elapsed_at(&mut Context::from_waker(&waker), now);
        Self { timer, waker }
    }

    /// Ready once `at` has passed. `now` is the time that was read in this poll. A wake-up from before it may have
    /// been used up.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, at: Instant, now: Instant) -> Poll<()> {
        let ahead = self.timer.registered().is_some_and(|wakes| now < wakes && wakes <= at);
        if ahead && self.waker.will_wake(cx.waker()) {
            return Poll::Pending;
        }
        self.poll_timer(cx, at, now)
    }

    #[inline(never)]
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Instant, now: Instant) -> Poll<()> {
        self.timer.as_mut().set(at);
        let elapsed = self.timer.as_mut().poll_elapsed_at(cx, now);
        self.waker.clone_from(cx.waker());
        elapsed
    }
}

/// A waker that remembers whether it was called. It is for one of several event sources of a task: one that wakes the
/// task rarely, while the others wake it often.
pub(crate) struct WakeFlag {
    raised: AtomicBool,
    task: Waker,
}

impl WakeFlag {
    /// A flag that is set from the start.
    pub(crate) fn raised(task: &Waker) -> Arc<Self> {
        Arc::new(Self { raised: AtomicBool::new(true), task: task.clone() })
    }

    /// Whether the flag was set since the last call.
    pub(crate) fn take(&self) -> bool {
        self.raised.load(Ordering::Relaxed) && self.raised.swap(false, Ordering::Acquire)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raised.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}
