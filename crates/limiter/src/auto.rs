//! How much at once, learned from the work that gets done.

use tokio::time::Instant;

mod flight;
mod ramp;
mod stage;
mod trial;
mod window;

use self::{
    flight::{Flight, seconds},
    ramp::Ramp,
    stage::Stage,
    window::Point,
};

/// A share of overloads above this is a cut. One overload is 1/32 of the share, so three in a row are one.
const OVERLOADS: f64 = 0.08;
/// So many failures in a row halve the limit.
const FAILURES: usize = 8;
/// The limit is used if so much of it is in flight.
const USED: f64 = 0.75;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It was answered. Work is in any unit that says how long a call takes: best the tokens of the answer; 1 for each
    /// call if nothing is known, which takes more calls to tell one rate from another.
    Done {
        /// How much work it was. 0 counts as 1.
        work: u64,
    },
    /// It was refused because the server has too much to do: 503, 529, a full queue.
    Overloaded,
    /// It took time and brought nothing: an error, a timeout.
    Failed,
    /// It was given up here, which says nothing of the server.
    Abandoned,
}

/// A bound on concurrency that finds its place where a server tells no limit.
///
/// Made for servers that batch (`vLLM`, `SGLang`, TGI): there each call is slower with more in flight, and still more gets
/// done, up to a knee. So it does not look at latency, which grows from the first call on, but at the rate of finished
/// work. Pure: it is told what happened, and its [`limit`](Self::limit) goes to
/// [`ConcurrencyLimiter::resize`](crate::ConcurrencyLimiter::resize).
///
/// - **The rate** is the number in flight times the work per second of one call (Little's law), over the calls that ended
///   since the limit was changed. Its standard error is computed, and says how many calls are enough.
/// - **The gain** compares two limits: by how many per cent the rate grows for each per cent more in flight. 1 is a server
///   with room, 0 one that is full. Below 0.05 more in flight buys nothing.
/// - **At first** the limit doubles, as TCP's slow start does (RFC 5681, section 3.1): after a round of calls, or after 2 s
///   where the work of calls tells the rate so soon. What each step has brought is known only when calls that were sent in it
///   end, while the next steps are taken. Once a step has brought nothing, the limit goes back to the best one.
/// - **After that** it tries a limit above, and now and then one further below, as PCC does (Dong et al., NSDI 2015): after 2,
///   4, 8 and then every 16 rounds of calls; at once where the rate has changed by itself.
/// - **Overloads** count by their share of the last calls: three in a row are too many. Then the limit goes down to what the
///   server holds, which is what is in flight beside the calls that it refuses, but not below half. For some trials it stays
///   there. Where nothing succeeds in between, or 8 calls fail in a row, it halves, and doubles back later.
/// - **A server that stalls** ends no calls, and without ends nothing grows. The calls that a stall has held up are not
///   measured. Neither is time in which the limit was not used.
///
/// Measured beside the best fixed limit, against seven simulated servers that it was not made for (`cargo bench -p
/// outbound-benches --bench limiter -- batching held-out`; the median of seven seeds). The goals were 0.9 of the work from 30
/// to 60 s, and 0.95 of it over 5 minutes. Six servers reach both: 0.99 or more, and 0.97 or more. The seventh does not: 0.68
/// and 0.89. It is at its best with 24 in flight, and does half as much with 128. So:
///
/// - **Let the bound be no more than the server surely bears.** Where too many in flight get less done than fewer, the ramp
///   goes past the best number first, and the calls that it has sent take their time. One of the ten servers that it was made
///   for is like that too, and stays at 0.86: its cache overflows past 32 in flight.
/// - **A full server is given more than it needs**, where that costs nothing but latency: after some minutes still one to
///   three times as many as get 0.95 of the work done, and 32 where 4 would do.
///
/// ```
/// use std::time::Duration;
/// use outbound_limiter::{AutoConcurrency, ConcurrencyLimiter, End};
/// use tokio::time::Instant;
///
/// let mut auto = AutoConcurrency::new(1, 512);
/// let limiter = ConcurrencyLimiter::new(auto.limit());
/// let sent_at = Instant::now();
/// auto.started(sent_at, limiter.in_use());
/// // ... the reply comes, with 120 tokens:
/// let now = sent_at + Duration::from_secs(3);
/// if let Some(limit) = auto.ended(now, sent_at, End::Done { work: 120 }) {
///     limiter.resize(limit);
/// }
/// assert_eq!(auto.limit(), 32);
/// ```
#[derive(Debug, Clone)]
pub struct AutoConcurrency {
    min: usize,
    max: usize,
    limit: usize,
    flight: Flight,
    ramp: Ramp,
    stage: Stage,
    phase: Phase,
    /// Rounds to wait until the next trial.
    patience: usize,
    /// Trials upward for each one downward, and those that are left of them.
    ups: usize,
    ups_left: usize,
    /// The share of overloads among the last calls.
    overloads: f64,
    /// Failures since something succeeded.
    failures: usize,
    cut_at: Option<Instant>,
    /// The last cut goes no lower.
    floor: usize,
    /// Whether something succeeded that was sent since the last cut.
    is_clean: bool,
    /// A limit that was overloaded, for so many more trials, and for how many the next one counts.
    ceiling: Option<Ceiling>,
    /// Calls that were sent before are not measured.
    measured_since: Option<Instant>,
    last_end: Option<Instant>,
    /// Seconds that a call took in the last stage.
    usual_time: f64,
}

#[derive(Debug, Clone, Copy)]
struct Ceiling {
    limit: usize,
    trials: u32,
    next: u32,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The first limit, or that after everything failed.
    Start,
    /// At a limit that is good as far as is known, for so many rounds. The point is that of the rounds before.
    Hold { rounds: usize, base: Option<Point> },
    /// At a limit that may be better than `home`, which did as much as `from`.
    Try { from: Point, home: usize, is_up: bool },
}

impl AutoConcurrency {
    /// Between `min`, at least 1, and `max`, both included. Starts at 32, or the nearest there is.
    pub fn new(min: usize, max: usize) -> Self {
        let min = min.max(1);
        let max = max.max(min);
        Self {
            min,
            max,
            limit: 32.clamp(min, max),
            flight: Flight::new(),
            ramp: Ramp::new(),
            stage: Stage::default(),
            phase: Phase::Start,
            patience: 1,
            ups: 1,
            ups_left: 1,
            overloads: 0.0,
            failures: 0,
            cut_at: None,
            floor: min,
            is_clean: true,
            ceiling: None,
            measured_since: None,
            last_end: None,
            usual_time: 0.0,
        }
    }

    /// How many may be in flight.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// One is sent, and with it so many are in flight. Each is followed by one [`ended`](Self::ended).
    pub fn started(&mut self, now: Instant, in_flight: usize) {
        self.flight.pass(now);
        if self.flight.now == 0 {
            let idle = self.last_end.take().map_or(0.0, |at| seconds(at, now));
            if self.stage.began.is_none() || idle > self.usual_time {
                self.begin(now, 0);
            }
        }
        self.flight.now = in_flight;
        self.ramp.sent(now);
    }

    /// One that was sent at `sent_at` has ended. Returns the limit if it has changed.
    pub fn ended(&mut self, now: Instant, sent_at: Instant, end: End) -> Option<usize> {
        let before = self.limit;
        self.flight.pass(now);
        match end {
            End::Abandoned => {}
            End::Overloaded if self.is_of_cut(sent_at) => self.give_way(),
            End::Overloaded => {
                self.overloads += (1.0 - self.overloads) / 32.0;
                if self.overloads > OVERLOADS {
                    self.cut(now);
                }
            }
            End::Failed => {
                self.measure(now, sent_at, 0.0);
                self.fail(now, sent_at);
            }
            End::Done { work } => {
                self.failures = 0;
                self.overloads -= self.overloads / 32.0;
                self.is_clean |= self.cut_at.is_none_or(|cut_at| sent_at > cut_at);
                self.measure(now, sent_at, work.max(1) as f64);
            }
        }
        self.flight.now = self.flight.now.saturating_sub(1);
        (self.limit != before).then_some(self.limit)
    }

    fn measure(&mut self, now: Instant, sent_at: Instant, work: f64) {
        let time = seconds(sent_at, now).max(1e-6);
        let silent = self.last_end.replace(now).map_or(0.0, |at| seconds(at, now));
        if self.usual_time > 0.0 && silent > 3.0 * self.usual_time {
            self.stalled(now, time);
            return;
        }
        if self.measured_since.is_some_and(|since| sent_at < since) {
            return;
        }
        let Some(in_flight) = self.flight.mean_since(sent_at) else { return };
        self.stage.add(now, work, time, in_flight);
        self.ramp.add(sent_at, work, time, in_flight);
        self.decide(now);
    }

    /// The server was silent. What it held up says nothing of the limit.
    fn stalled(&mut self, now: Instant, time: f64) {
        self.usual_time = time;
        self.measured_since = Some(now);
        if let Phase::Try { home, .. } = self.phase {
            self.limit = self.limit.min(home);
            self.phase = Phase::Hold { rounds: 2, base: None };
        }
        self.begin(now, self.limit);
    }

    /// Gives way to overloads, and from the start again if that did not help.
    fn cut(&mut self, now: Instant) {
        self.overloads = 0.0;
        self.cut_at = Some(now);
        self.floor = self.bounded(self.limit / 2);
        if self.is_clean {
            let trials = self.ceiling.map_or(2, |ceiling| ceiling.next);
            self.ceiling = Some(Ceiling { limit: self.limit, trials, next: (2 * trials).min(32) });
            self.phase = Phase::Hold { rounds: 2, base: None };
        } else {
            self.ceiling = None;
            self.phase = Phase::Start;
        }
        self.ramp = Ramp::new();
        self.is_clean = false;
        self.give_way();
        self.begin(now, self.limit);
    }

    /// Where one call after the other brings nothing, fewer may bring something. What was sent before counts no more.
    fn fail(&mut self, now: Instant, sent_at: Instant) {
        if self.cut_at.is_some_and(|cut_at| sent_at <= cut_at) {
            return;
        }
        self.failures += 1;
        if self.failures == FAILURES {
            self.failures = 0;
            self.cut_at = Some(now);
            self.limit = self.bounded(self.limit / 2);
            self.phase = Phase::Start;
            self.ramp = Ramp::new();
            self.begin(now, self.limit);
        }
    }

    /// Whether an overload says no more than the last cut did: its call was sent before, or nothing has succeeded since.
    fn is_of_cut(&self, sent_at: Instant) -> bool {
        let is_older = self.cut_at.is_some_and(|cut_at| sent_at <= cut_at);
        is_older || !self.is_clean && self.limit > self.floor
    }

    /// A server that refuses holds no more than what is in flight beside what it refuses. Of one limit half remains.
    fn give_way(&mut self) {
        let held = self.flight.now.saturating_sub(1);
        self.limit = self.limit.min(held.max(self.floor));
        if let Some(ceiling) = &mut self.ceiling {
            ceiling.limit = ceiling.limit.min(self.limit);
        }
    }

    fn decide(&mut self, now: Instant) {
        if self.stage.all.calls < 4 || self.stage.all.work == 0.0 {
            return;
        }
        match self.phase {
            Phase::Start => self.decide_start(now),
            Phase::Hold { rounds, base } => self.decide_hold(now, rounds, base),
            Phase::Try { from, home, is_up } => {
                if !(is_up && self.decide_early(now, from, home)) {
                    self.decide_late(now, from, home, is_up);
                }
            }
        }
    }

    fn decide_hold(&mut self, now: Instant, rounds: usize, base: Option<Point>) {
        let calls = self.stage.settled.calls;
        let Some(point) = self.stage.settled.point() else { return };
        let change = base.filter(|base| calls >= 8 && base.contradicts(&point));
        if let Some(base) = change {
            // The server is another one now.
            self.patience = 1;
            self.ups_left = usize::from(point.rate > base.rate);
            self.phase = Phase::Hold { rounds: 1, base: None };
            self.begin(now, 0);
            return;
        }
        if calls < self.limit.max(8) {
            return;
        }
        if !self.is_used() {
            self.begin(now, 0);
            return;
        }
        let is_known = point.error < 0.04 || calls >= 2 * self.limit.max(4);
        if rounds > 1 && is_known {
            self.phase = Phase::Hold { rounds: rounds - 1, base: Some(point) };
            self.keep(now);
        } else if is_known {
            self.try_another(now, point);
        }
    }

    /// Goes to a limit. Its calls are those that are sent after as many as are now in flight, or may be, have ended.
    fn go(&mut self, now: Instant, limit: usize, phase: Phase) {
        self.keep(now);
        self.limit = limit;
        self.phase = phase;
        self.begin(now, limit.max(self.flight.now));
    }

    /// Begins to measure anew at the same limit, after something was learned.
    fn keep(&mut self, now: Instant) {
        self.usual_time = self.stage.all.mean_time();
        self.begin(now, 0);
    }

    fn begin(&mut self, now: Instant, to_settle: usize) {
        self.flight.mark(now);
        self.stage = Stage::new(now, to_settle);
    }

    fn is_used(&self) -> bool {
        let since = self.stage.measures_since();
        let mean = since.and_then(|since| self.flight.mean_since(since)).unwrap_or(0.0);
        mean >= USED * self.limit as f64
    }

    fn step(&self, factor: f64) -> usize {
        let limit = self.limit as f64 * factor;
        if factor < 1.0 {
            return self.bounded(limit as usize);
        }
        let ceiling = self.ceiling.filter(|ceiling| ceiling.trials > 0);
        let most = ceiling.map_or(usize::MAX, |ceiling| ceiling.limit);
        self.bounded((limit.ceil() as usize).min(most).max(self.limit))
    }

    fn bounded(&self, limit: usize) -> usize {
        limit.clamp(self.min, self.max)
    }
}
