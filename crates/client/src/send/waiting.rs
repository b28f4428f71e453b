//! What a request waits for, and under which limit.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::{Call, State};
use crate::{
    body::Stage,
    error::{Error, Phase},
    limit_timer::earliest,
    limits::Limit,
    look::LastLook,
};

impl Call {
    /// Starts the limit of what is waited for now: a connection permit, or a stage of a dial.
    pub(super) fn await_connection(&mut self, now: Instant) -> (Phase, Option<Instant>) {
        let State::Waiting(pending) = &self.state else { return (Phase::PoolWait, None) };
        let stage = pending.stage();
        if stage == Limit::PoolWait && !pending.has_dialed() {
            return (Phase::PoolWait, None);
        }
        // The time that was spent so far counts, also if an earlier dial failed.
        let since = now.checked_sub(pending.spent(now)[stage]).unwrap_or(now);
        self.limit_timer.start_step(stage, since);
        // Nobody wakes this task when the dial enters another stage or is given to another request. The limit of the
        // next stage cannot end before the shortest limit has passed, so the task polls again after that time.
        let limits = &self.limit_timer.limits;
        (stage.phase(), look_again(now, earliest(limits.dial().shortest(), limits.pool_wait)))
    }

    pub(super) fn record_wait(&mut self, now: Instant) {
        if let (Some(timings), State::Waiting(pending)) = (&mut self.timings, &self.state) {
            timings.waited(pending.spent(now));
        }
    }

    /// Starts the limit of what the connection does now: it takes the request's body, or it waits for the reply.
    pub(super) fn await_answer(&mut self, now: Instant) -> (Phase, Option<Instant>) {
        let Some(upload) = &self.upload else { return (Phase::Head, None) };
        match upload.stage() {
            Stage::Done(at) => {
                self.limit_timer.start_step(Limit::FirstByte, at);
                return (Phase::Head, None);
            }
            Stage::Sending(last) => self.limit_timer.start_step(Limit::WriteIdle, last),
            Stage::Producing => self.limit_timer.stop_step(),
        }
        // Nobody wakes this task when the upload ends or stalls again. To check once in the time of the shortest
        // limit is enough to notice each limit in time.
        let limits = &self.limit_timer.limits;
        (Phase::Upload, look_again(now, earliest(limits.first_byte, limits.write_idle)))
    }

    /// Ready when a limit has passed and nothing that has arrived is left to read. Returns the limit and its
    /// duration.
    ///
    /// The task is woken after the last look, so that it reads once more before it calls this again.
    #[inline]
    pub(crate) fn poll_passed(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        look: Option<Instant>,
    ) -> Poll<(Limit, Duration)> {
        let Poll::Ready(passed) = self.limit_timer.poll(cx, now, look) else {
            if self.last_look.is_some() {
                self.last_look = None;
            }
            return Poll::Pending;
        };
        // A turn of its task lets a connection take more of the body, whether the server has read or not. So no turn
        // is caused if the task was polled in time.
        if passed.0 == Limit::WriteIdle && !self.limit_timer.is_late(now) {
            return Poll::Ready(passed);
        }
        self.poll_last_look(cx).map(|()| passed)
    }

    #[cold]
    fn poll_last_look(&mut self, cx: &Context<'_>) -> Poll<()> {
        let looks = self.connection.as_ref().map(|connection| &connection.history.looks);
        self.last_look.get_or_insert_with(|| LastLook::begin(looks)).poll(looks, cx)
    }

    /// Pending, unless a limit has passed.
    pub(super) fn wait<T>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        phase: Phase,
        look: Option<Instant>,
    ) -> Poll<Result<T, Error>> {
        let (limit, duration) = ready!(self.poll_passed(cx, now, look));
        self.record_wait(now);
        if let (State::Sent, Some(connection)) = (&self.state, &self.connection) {
            connection.suspect();
        }
        Poll::Ready(Err(Error::timeout(limit, duration, phase).at(&self.pool.origin)))
    }
}

/// When to check a limit whose start is not reported: after the shortest limit, and never at once.
fn look_again(now: Instant, shortest: Option<Duration>) -> Option<Instant> {
    const GRAIN: Duration = Duration::from_millis(1);
    now.checked_add(shortest?.max(GRAIN))
}
