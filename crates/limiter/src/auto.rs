//! A bound on concurrency that is learned from the work that is done.

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

/// The limit is lowered if the share of overloads is above this. One overload adds 1/32, so three in a row are enough.
const OVERLOADS: f64 = 0.08;
/// This many failures in a row halve the limit.
const FAILURES: usize = 8;
/// The limit counts as used if this share of it is in flight.
const USED: f64 = 0.75;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It was answered. The work is in any unit that says how long a call takes, best in tokens of the answer. If nothing is
    /// known it is 1 for each call; then more calls are needed to tell one rate from another.
    Done {
        /// How much work it was. 0 counts as 1.
        work: u64,
    },
    /// It was refused because the server is overloaded: 503, 529, a full queue.
    Overloaded,
    /// It took time and had no result: an error, a timeout.
    Failed,
    /// It was cancelled by the client, which says nothing about the server.
    Abandoned,
}

/// A bound on concurrency that is found by measuring, for a server that names no limit.
///
/// It is made for servers that batch (`vLLM`, `SGLang`, TGI). There each call is slower with more in flight, and still more
/// work is done in total, up to a point. So it does not measure latency, which grows from the first call on. It measures
/// the rate of finished work. It is pure data: tell it what happened, and pass its [`limit`](Self::limit) to
/// [`ConcurrencyLimiter::resize`](crate::ConcurrencyLimiter::resize).
///
/// - **The rate** is the number in flight times the work per second of one call (Little's law), over the calls that ended
///   since the limit was changed. Its standard error is computed, and says how many calls are enough.
/// - **The gain** compares two limits: by how many per cent the rate grows for each per cent more in flight. It is 1 for a
///   server with room, and 0 for one that is full. Below 0.05 more in flight brings nothing.
/// - **At first** the limit doubles, as in TCP's slow start (RFC 5681, section 3.1): after a round of calls, or after 2 s
///   where the rate is known by then. What a step has brought is known only when the calls that were sent in it end, and
///   meanwhile the next steps are taken. Once a step has brought nothing, the limit goes back to the best one.
/// - **After that** it tries a higher limit, and now and then a lower one, as PCC does (Dong et al., NSDI 2015): after 2, 4, 8
///   and then every 16 rounds of calls, or at once where the rate has changed by itself.
/// - **Overloads** count by their share of the last calls: three in a row are too many. Then the limit goes down to what is
///   in flight beside the refused calls, but not below half. It stays there for some trials. Where nothing succeeds in
///   between, or 8 calls fail in a row, it halves, and doubles again later.
/// - **A stall** of the server ends no calls, and without ended calls nothing grows. Calls that a stall has delayed are not
///   measured. Neither is time in which the limit was not used.
///
/// `cargo bench -p outbound-benches --bench limiter -- batching held-out` compares it with the best fixed limit, on seven
/// simulated servers that it was not tuned for. The goals are 0.9 of the work from 30 to 60 s, and 0.95 of the work over 5
/// minutes. Six servers reach both. The seventh does not: with too many in flight it does much less work than with fewer.
/// This has two consequences:
///
/// - **Choose a maximum that the server surely bears.** Where too many in flight do less work than fewer, the doubling goes
///   beyond the best number first, and the calls that it has sent take their time.
/// - **A full server gets more calls than it needs**, where that costs only latency.
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
    /// How many upward trials there are for each downward one, and how many of them are left.
    ups: usize,
    ups_left: usize,
    /// The share of overloads among the last calls.
    overloads: f64,
    /// Failures since the last success.
    failures: usize,
    cut_at: Option<Instant>,
    /// The last cut does not lower the limit below this. A cut is a decrease after overloads or failures.
    floor: usize,
    /// Whether a call has succeeded that was sent after the last cut.
    is_clean: bool,
    /// A limit that was overloaded. It is not exceeded for some trials.
    ceiling: Option<Ceiling>,
    /// Calls that were sent before this are not measured.
    measured_since: Option<Instant>,
    last_end: Option<Instant>,
    /// The seconds that a call took in the last stage, on average.
    usual_time: f64,
}

#[derive(Debug, Clone, Copy)]
struct Ceiling {
    limit: usize,
    /// For how many more trials it holds.
    trials: u32,
    /// For how many trials the next ceiling will hold.
    next: u32,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The limit doubles: at the start, and after everything has failed.
    Start,
    /// The limit stays for this many rounds. `base` is the point of the rounds before.
    Hold { rounds: usize, base: Option<Point> },
    /// A trial of a limit that may be better than `home`. `from` is the point of `home`.
    Try { from: Point, home: usize, is_up: bool },
}

impl AutoConcurrency {
    /// A bound between `min` (at least 1) and `max`, both included. It starts at 32, or at the nearest allowed number.
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

    /// How many calls may be in flight.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// A call is sent. `in_flight` is how many are in flight with it. Each call must be followed by one
    /// [`ended`](Self::ended).
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

    /// A call that was sent at `sent_at` has ended. Returns the limit if it has changed.
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

    /// The server has stalled. The calls that it delayed say nothing about the limit.
    fn stalled(&mut self, now: Instant, time: f64) {
        self.usual_time = time;
        self.measured_since = Some(now);
        if let Phase::Try { home, .. } = self.phase {
            self.limit = self.limit.min(home);
            self.phase = Phase::Hold { rounds: 2, base: None };
        }
        self.begin(now, self.limit);
    }

    /// Lowers the limit after overloads. If nothing has succeeded since the last cut, it also starts again from the ramp.
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

    /// Counts a failure, and halves the limit after many in a row. Calls that were sent before the last cut do not count.
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

    /// Whether an overload belongs to the last cut: its call was sent before the cut, or nothing has succeeded since.
    fn is_of_cut(&self, sent_at: Instant) -> bool {
        let is_older = self.cut_at.is_some_and(|cut_at| sent_at <= cut_at);
        is_older || !self.is_clean && self.limit > self.floor
    }

    /// Lowers the limit to what is in flight beside the refused call, because a server that refuses holds no more. It does
    /// not go below the floor.
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
            // The server has changed.
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

    /// Changes the limit. Calls count for it only after as many calls have ended as are now in flight or may be.
    fn go(&mut self, now: Instant, limit: usize, phase: Phase) {
        self.keep(now);
        self.limit = limit;
        self.phase = phase;
        self.begin(now, limit.max(self.flight.now));
    }

    /// Begins a new measurement at the same limit.
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
