//! Other users of a quota. Their calls are computed when a request asks for the quota.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use crate::{
    draw::{Draw, Purpose},
    quota::Cost,
};

/// Calls of others that count against the same quotas. See [`Builder::other_users`](crate::Builder::other_users).
///
/// | setting | default |
/// |---|---|
/// | [`input_tokens`](Self::input_tokens), [`output_tokens`](Self::output_tokens) | 0: only requests are taken |
/// | [`during`](Self::during) | always |
///
/// The times between calls are exponentially distributed (a Poisson process), and drawn by the seed of the simulator.
/// A call that finds no room waits, and takes the first room that there is, before your own requests. Later calls wait
/// behind it. So other users get all that they ask for, up to the whole quota. They are never charged for a refusal. No
/// reply is made to them, and they are not among the entries of the ledger: see
/// [`Ledger::taken_by_others`](crate::Ledger::taken_by_others).
///
/// ```
/// use outbound_simulator::{KeySettings, OtherUsers, Simulator};
///
/// let others = OtherUsers::calls_per_minute(300).input_tokens(50..=150).output_tokens(100..=100);
/// let simulator = Simulator::builder()
///     .requests_per_minute(600)
///     .tokens_per_minute(120_000)
///     .key_with("key-of-a-team", KeySettings::new().other_users(others))
///     .key("key-of-our-own")
///     .build();
/// # let _ = simulator;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "other users do nothing until a builder has them"]
pub struct OtherUsers {
    calls_per_minute: u64,
    input_tokens: RangeInclusive<u64>,
    output_tokens: RangeInclusive<u64>,
    times: Range<Duration>,
}

impl OtherUsers {
    /// This many calls a minute on average, 600,000 at most.
    pub fn calls_per_minute(calls: u64) -> Self {
        Self {
            calls_per_minute: calls.min(600_000),
            input_tokens: 0..=0,
            output_tokens: 0..=0,
            times: Duration::ZERO..Duration::MAX,
        }
    }

    /// Tokens of the prompt of each call, drawn from this range.
    pub fn input_tokens(mut self, tokens: RangeInclusive<u64>) -> Self {
        self.input_tokens = tokens;
        self
    }

    /// Tokens of the answer to each call, drawn from this range. They are taken when the call is admitted, and
    /// nothing is given back.
    pub fn output_tokens(mut self, tokens: RangeInclusive<u64>) -> Self {
        self.output_tokens = tokens;
        self
    }

    /// Makes calls only in this span of time since the start.
    pub fn during(mut self, times: Range<Duration>) -> Self {
        self.times = times;
        self
    }
}

/// The calls of one group of other users, the earliest first.
#[derive(Clone, Debug)]
pub(crate) struct OtherCalls {
    users: OtherUsers,
    seed: u64,
    account: u64,
    // How many calls were drawn, with the next one.
    drawn: u32,
    next: Option<(Duration, Cost)>,
    // Until when the next one waits for room. The calls behind it are drawn after it.
    not_before: Duration,
}

impl OtherCalls {
    pub(crate) fn new(users: OtherUsers, seed: u64, account: usize) -> Self {
        let start = users.times.start;
        let mut calls =
            Self { users, seed, account: account as u64, drawn: 0, next: None, not_before: start };
        calls.next = calls.draw_after(start);
        calls
    }

    /// When the next call asks for room, and what it takes. `None`: it is not due.
    pub(crate) fn due(&self, now: Duration) -> Option<(Duration, Cost)> {
        let (at, cost) = self.next?;
        let at = at.max(self.not_before);
        (at <= now).then_some((at, cost))
    }

    /// Lets the next call wait for room.
    pub(crate) fn wait_until(&mut self, at: Duration) {
        self.not_before = at;
    }

    /// The next call is done, and the one after it becomes the next.
    pub(crate) fn pop(&mut self) {
        self.next = self.next.and_then(|(at, _)| self.draw_after(at));
    }

    fn draw_after(&mut self, last: Duration) -> Option<(Duration, Cost)> {
        let mut draw = Draw::keyed(self.seed, self.account, self.drawn, Purpose::OtherCall);
        self.drawn = self.drawn.wrapping_add(1);
        let mean = 60.0 / self.users.calls_per_minute as f64;
        let gap = Duration::try_from_secs_f64(-(1.0 - draw.unit()).ln() * mean).ok()?;
        // Time has to go on, even with the smallest draw.
        let at = last.checked_add(gap.max(Duration::from_nanos(1)))?;
        let mut tokens = |range: &RangeInclusive<u64>| draw.between(*range.start(), *range.end());
        let cost =
            Cost { input: tokens(&self.users.input_tokens), output: tokens(&self.users.output_tokens) };
        (at < self.users.times.end).then_some((at, cost))
    }
}
