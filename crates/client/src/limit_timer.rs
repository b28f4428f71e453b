//! The time limits of one request. All of them share one timer, which is set for the limit that ends first.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    limits::{Limit, Limits},
    reused_timer::ReusedTimer,
};

/// The time limits of one request, on one timer that is set for the limit that ends first.
pub(crate) struct LimitTimer {
    // Shared by all requests that use the client's limits.
    pub(crate) limits: Arc<Limits>,
    timer: Option<ReusedTimer>,
    deadline: Option<Instant>,
    exchange: Option<Instant>,
    step: Option<(Limit, Instant)>,
}

impl LimitTimer {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, timer: None, deadline: None, exchange: None, step: None }
    }

    /// Starts the total limit. Only the first call counts.
    pub(crate) fn start_total(&mut self, now: Instant) {
        self.deadline = self.deadline.or_else(|| after(now, self.limits.total));
    }

    /// Takes the deadline of the whole request from another request, of which this one is a part.
    pub(crate) fn end_by(&mut self, deadline: Option<Instant>) {
        self.deadline = earliest(self.deadline, deadline);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes over the limits of another limit timer, and the deadline of the whole request.
    pub(crate) fn share(&mut self, other: &Self) {
        self.limits = other.limits.clone();
        self.end_by(other.deadline);
    }

    /// Moves the deadline of the whole request forward, if it is later than this.
    pub(crate) fn shorten(&mut self, now: Instant, within: Duration) {
        self.deadline = earliest(self.deadline, now.checked_add(within));
    }

    /// A connection is held from now on. A used connection brings its timer.
    pub(crate) fn start_exchange(&mut self, now: Instant, timer: Option<ReusedTimer>) {
        self.exchange = after(now, self.limits.exchange);
        if timer.is_some() {
            self.timer = timer;
        }
    }

    /// The connection is no longer held. The timer that came with it may belong to a runtime that has ended.
    pub(crate) fn stop_exchange(&mut self) {
        self.timer = None;
        self.exchange = None;
        self.step = None;
    }

    pub(crate) fn take_timer(&mut self) -> Option<ReusedTimer> {
        self.timer.take()
    }

    /// Starts the limit of a phase, in place of the phase before.
    pub(crate) fn start_step(&mut self, limit: Limit, since: Instant) {
        self.step = after(since, self.duration(limit)).map(|deadline| (limit, deadline));
    }

    pub(crate) fn stop_step(&mut self) {
        self.step = None;
    }

    pub(crate) fn has_step(&self) -> bool {
        self.step.is_some()
    }

    /// Ready when a limit has passed, with that limit and its duration.
    ///
    /// `look` is a time at which the task is woken without a limit passing. It is for a phase whose start nobody
    /// reports to the task. `now` is the time that was read in this poll.
    #[inline(always)]
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        look: Option<Instant>,
    ) -> Poll<(Limit, Duration)> {
        let step = self.step.map(|(_, deadline)| deadline);
        let Some(wake) = earliest(earliest(step, look), earliest(self.exchange, self.deadline)) else {
            return Poll::Pending;
        };
        ready!(self.timer.get_or_insert_with(|| ReusedTimer::new(now)).poll(cx, wake, now));
        self.woken(cx, wake)
    }

    /// Whether the limit of the phase passed some time ago, so that the task was not polled in time.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        const SOME: Duration = Duration::from_millis(50);
        self.step.is_some_and(|(_, deadline)| now.saturating_duration_since(deadline) >= SOME)
    }

    #[cold]
    fn woken(&self, cx: &mut Context<'_>, wake: Instant) -> Poll<(Limit, Duration)> {
        let first = self.step.into_iter().chain(self.spans()).min_by_key(|(_, deadline)| *deadline);
        match first {
            Some((limit, deadline)) if deadline <= wake => {
                Poll::Ready((limit, self.duration(limit).unwrap_or_default()))
            }
            _ => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Which of the limits that span phases has passed. It does not wait. `now` is read if such a limit exists.
    #[inline]
    pub(crate) fn passed(&self, now: &mut Option<Instant>) -> Option<(Limit, Duration)> {
        let deadline = earliest(self.exchange, self.deadline)?;
        if *now.get_or_insert_with(Instant::now) >= deadline { self.first_span() } else { None }
    }

    #[cold]
    fn first_span(&self) -> Option<(Limit, Duration)> {
        let (limit, _) = self.spans().min_by_key(|(_, deadline)| *deadline)?;
        Some((limit, self.duration(limit).unwrap_or_default()))
    }

    fn spans(&self) -> impl Iterator<Item = (Limit, Instant)> {
        let exchange = self.exchange.map(|deadline| (Limit::Exchange, deadline));
        let deadline = self.deadline.map(|deadline| (Limit::Total, deadline));
        exchange.into_iter().chain(deadline)
    }

    fn duration(&self, limit: Limit) -> Option<Duration> {
        self.limits.get(limit)
    }
}

/// The earlier of two times. `None` means no limit.
#[inline]
pub(crate) fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// An instant beyond the range of the clock means no limit.
fn after(now: Instant, limit: Option<Duration>) -> Option<Instant> {
    now.checked_add(limit?)
}

impl fmt::Debug for LimitTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitTimer")
            .field("limits", &self.limits)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
