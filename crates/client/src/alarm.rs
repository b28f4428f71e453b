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
/// Most waits end before their limit. The wake-up of an earlier one is still to come then, and does for the next limit
/// too, as long as it wakes the same task: such a wait costs a comparison.
pub(crate) struct Alarm {
    timer: Pin<Box<Timer>>,
    // Whom the registered wake-up wakes.
    waker: Waker,
}

impl Alarm {
    /// An alarm of the runtime in whose context this is called: it is registered here, and must not outlive that.
    pub(crate) fn new(now: Instant) -> Self {
        let mut timer = Box::pin(Timer::new());
        if let Some(far) = now.checked_add(std::time::Duration::from_secs(3600)) {
            timer.as_mut().set(far);
        }
        let waker = Waker::noop().clone();
        let _ = timer.as_mut().poll_elapsed_at(&mut Context::from_waker(&waker), now);
        Self { timer, waker }
    }

    /// Ready once `at` has passed. `now` has been read in this poll: a wake-up from before it may be spent.
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

/// A task's waker that remembers having been called: for one of several things that wake a task often, and itself does so
/// seldom.
pub(crate) struct Flag {
    raised: AtomicBool,
    task: Waker,
}

impl Flag {
    /// One that is raised from the start.
    pub(crate) fn raised(task: &Waker) -> Arc<Self> {
        Arc::new(Self { raised: AtomicBool::new(true), task: task.clone() })
    }

    /// Whether it was raised since it was last asked.
    pub(crate) fn take(&self) -> bool {
        self.raised.load(Ordering::Relaxed) && self.raised.swap(false, Ordering::Acquire)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raised.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}
