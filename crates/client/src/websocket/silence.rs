//! How long the server was silent: sends a ping in time, and ends the WebSocket in the end.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::reused_timer::ReusedTimer;

/// How long nothing has come while a task waited for it, and what to do about it.
#[derive(Default)]
pub(super) struct Silence {
    state: State,
    timer: Option<ReusedTimer>,
}

#[derive(Clone, Copy, Default)]
enum State {
    /// Something has just come, or no task has waited yet.
    #[default]
    Over,
    /// Nothing has come since this time.
    Since(Instant),
    /// A ping was sent at this time, and nothing has come since.
    Pinged(Instant),
}

/// What to do now.
pub(super) enum Due {
    Ping,
    /// Nothing has come for as long as allowed.
    End,
}

impl Silence {
    /// Shorter than 60 s, after which many proxies and load balancers drop a silent connection.
    const PING_AFTER: Duration = Duration::from_secs(30);

    pub(super) fn end(&mut self) {
        self.state = State::Over;
    }

    /// A ping after half of the allowed time, or after 30 s. The server has the rest of the time to answer.
    ///
    /// A task that polls late has also sent the ping late. So the rest of the time begins with the ping.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant, limit: Option<Duration>) -> Poll<Due> {
        let ping_after = limit.map_or(Self::PING_AFTER, |limit| Self::PING_AFTER.min(limit / 2));
        match self.state {
            State::Over => {
                self.state = State::Since(now);
                self.poll(cx, now, limit)
            }
            State::Since(since) => {
                ready!(self.poll_at(cx, now, since.checked_add(ping_after)));
                self.state = State::Pinged(now);
                Poll::Ready(Due::Ping)
            }
            State::Pinged(at) => {
                let rest = limit.map(|limit| limit - ping_after);
                ready!(self.poll_at(cx, now, rest.and_then(|rest| at.checked_add(rest))));
                Poll::Ready(Due::End)
            }
        }
    }

    pub(super) fn poll_at(&mut self, cx: &mut Context<'_>, now: Instant, at: Option<Instant>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        self.timer.get_or_insert_with(|| ReusedTimer::new(now)).poll(cx, at, now)
    }
}
