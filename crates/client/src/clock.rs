use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use outbound_timer::Timer;
use tokio::time::Instant;

use crate::limits::{Limit, Limits};

/// The limits in time of one request, on one timer that is armed for whichever ends first.
pub(crate) struct Clock {
    // Shared by all requests that have the client's: a request is moved several times on its way.
    pub(crate) limits: Arc<Limits>,
    timer: Option<Pin<Box<Timer>>>,
    total: Option<Instant>,
    exchange: Option<Instant>,
    step: Option<(Limit, Instant)>,
}

impl Clock {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, timer: None, total: None, exchange: None, step: None }
    }

    /// This clock as it runs, for the body of the reply; a stopped one stays.
    pub(crate) fn take(&mut self) -> Self {
        let stopped = Self::new(self.limits.clone());
        std::mem::replace(self, stopped)
    }

    pub(crate) fn start_total(&mut self, now: Instant) {
        self.total = after(now, self.limits.total);
    }

    /// A connection is held, and with it the timer that comes with a used one.
    pub(crate) fn start_exchange(&mut self, now: Instant, timer: Option<Pin<Box<Timer>>>) {
        self.exchange = after(now, self.limits.exchange);
        if timer.is_some() {
            self.timer = timer;
        }
    }

    /// The connection is not held any more.
    pub(crate) fn stop_exchange(&mut self) {
        self.exchange = None;
        self.step = None;
    }

    pub(crate) fn take_timer(&mut self) -> Option<Pin<Box<Timer>>> {
        self.timer.take()
    }

    /// Starts the limit of a phase. It takes the place of the one before.
    pub(crate) fn start_step(&mut self, limit: Limit, since: Instant) {
        self.step = after(since, self.duration(limit)).map(|ends| (limit, ends));
    }

    pub(crate) fn stop_step(&mut self) {
        self.step = None;
    }

    pub(crate) fn has_step(&self) -> bool {
        self.step.is_some()
    }

    /// Ready when a limit has passed: which, and how long it is.
    ///
    /// `look` wakes the task without any limit passing, for one whose start nobody tells it of.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, look: Option<Instant>) -> Poll<(Limit, Duration)> {
        let limits = [
            self.step,
            self.exchange.map(|ends| (Limit::Exchange, ends)),
            self.total.map(|ends| (Limit::Total, ends)),
        ];
        let first = limits.into_iter().flatten().min_by_key(|(_, ends)| *ends);
        let Some(wake) = first.map(|(_, ends)| ends).into_iter().chain(look).min() else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(Timer::new()));
        timer.as_mut().set(wake);
        ready!(timer.as_mut().poll_elapsed(cx));
        match first {
            Some((limit, ends)) if ends <= wake => {
                Poll::Ready((limit, self.duration(limit).unwrap_or_default()))
            }
            _ => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Which of the limits that span phases has passed, without waiting for any.
    pub(crate) fn passed(&self) -> Option<(Limit, Duration)> {
        let spans = [(Limit::Exchange, self.exchange), (Limit::Total, self.total)];
        let (limit, ends) =
            spans.into_iter().filter_map(|(limit, ends)| Some((limit, ends?))).min_by_key(|s| s.1)?;
        (Instant::now() >= ends).then(|| (limit, self.duration(limit).unwrap_or_default()))
    }

    fn duration(&self, limit: Limit) -> Option<Duration> {
        self.limits.get(limit)
    }
}

/// A limit that ends after all time is none.
fn after(now: Instant, limit: Option<Duration>) -> Option<Instant> {
    now.checked_add(limit?)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("limits", &self.limits)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}
