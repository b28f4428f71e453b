//! `AutoConcurrency`, on simulated servers whose calls share the work that the server does per second.

use outbound_limiter::{AutoConcurrency, End};
use tokio::time::{Duration, Instant};

use crate::support::s;

/// A server with enough calls to keep it busy. All calls in flight progress equally fast.
struct Backlog {
    auto: AutoConcurrency,
    now: Instant,
    /// For each call in flight: when it was sent, its work, and the work that is left.
    calls: Vec<(Instant, u64, f64)>,
    /// The work per second that this many calls in flight do together.
    rate: fn(usize) -> f64,
    /// More calls than this are refused.
    most: usize,
    sent: u64,
    refused: u64,
    /// The sum of the limit over all seconds.
    area: f64,
}

impl Backlog {
    fn new(rate: fn(usize) -> f64) -> Self {
        let auto = AutoConcurrency::new(1, 200);
        let (now, calls) = (Instant::now(), Vec::new());
        Self { auto, now, calls, rate, most: usize::MAX, sent: 0, refused: 0, area: 0.0 }
    }

    fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Lets time pass. Returns the mean of the limit.
    fn run(&mut self, seconds: u64) -> f64 {
        let end = self.now + s(seconds);
        self.area = 0.0;
        while self.now < end {
            self.send();
            // Goes on to the end of the next call, but at most by a second.
            let pace = (self.rate)(self.calls.len()) / self.calls.len().max(1) as f64;
            let least = self.calls.iter().map(|(.., left)| *left).fold(f64::INFINITY, f64::min);
            let step = (least / pace).clamp(1e-6, 1.0).min((end - self.now).as_secs_f64().max(1e-6));
            self.now += Duration::from_secs_f64(step);
            self.area += step * self.auto.limit() as f64;
            self.calls.iter_mut().for_each(|(.., left)| *left -= step * pace);
            while let Some(at) = self.calls.iter().position(|(.., left)| *left < 1e-6) {
                let (sent_at, work, _) = self.calls.swap_remove(at);
                let _ = self.auto.ended(self.now, sent_at, End::Done { work });
            }
        }
        self.area / seconds as f64
    }

    fn send(&mut self) {
        for _ in 0..1_000 {
            if self.calls.len() >= self.auto.limit() {
                return;
            }
            self.sent += 1;
            self.auto.started(self.now, self.calls.len() + 1);
            if self.calls.len() < self.most {
                // Work from 50 to 149, in a mixed order.
                let work = 50 + self.sent * 37 % 100;
                self.calls.push((self.now, work, work as f64));
            } else {
                self.refused += 1;
                let _ = self.auto.ended(self.now, self.now, End::Overloaded);
                self.now += Duration::from_millis(1);
            }
        }
    }
}

/// 50 units of work per second for each call, up to `full` calls.
fn up_to(full: usize, in_flight: usize) -> f64 {
    50.0 * in_flight.min(full) as f64
}

#[test]
fn it_starts_at_32_within_its_bounds() {
    for (min, max, limit) in [(1, 512, 32), (1, 4, 4), (40, 60, 40), (0, 0, 1), (9, 3, 9)] {
        assert_eq!(AutoConcurrency::new(min, max).limit(), limit);
    }
}

#[test]
fn it_grows_to_its_maximum_where_the_server_has_room() {
    let mut backlog = Backlog::new(|in_flight| up_to(1_000, in_flight));
    backlog.run(15);
    assert_eq!(backlog.auto.limit(), 200);
    // The whole maximum is used, except in trials of a lower limit.
    let mean = backlog.run(300);
    assert!(mean > 190.0, "{mean}");
}

#[test]
fn it_holds_near_the_knee() {
    for (full, least, most) in [(20, 18.0, 30.0), (48, 45.0, 72.0), (100, 94.0, 120.0)] {
        let mut backlog = Backlog::new(match full {
            20 => |in_flight| up_to(20, in_flight),
            48 => |in_flight| up_to(48, in_flight),
            _ => |in_flight| up_to(100, in_flight),
        });
        backlog.run(60);
        let mean = backlog.run(300);
        assert!((least..most).contains(&mean), "{full}: {mean}");
    }
}

/// Beyond 60 in flight each further call costs the others more than it brings.
#[test]
fn it_comes_down_where_less_work_is_done() {
    fn thrashes(in_flight: usize) -> f64 {
        let beyond = in_flight.saturating_sub(60) as f64;
        in_flight as f64 / (0.02 + 0.000_02 * beyond * beyond)
    }
    let mut backlog = Backlog::new(thrashes);
    backlog.run(30);
    let mean = backlog.run(300);
    assert!((52.0..80.0).contains(&mean), "{mean}");
}

#[test]
fn it_finds_the_limit_of_a_server_that_refuses_and_is_seldom_refused() {
    let mut backlog = Backlog::new(|in_flight| up_to(1_000, in_flight)).most(40);
    let soon = backlog.run(30);
    assert!((34.0..48.0).contains(&soon), "{soon}");
    let (sent, refused) = (backlog.sent, backlog.refused);
    let mean = backlog.run(300);
    assert!((38.0..41.0).contains(&mean), "{mean}");
    let share = (backlog.refused - refused) as f64 / (backlog.sent - sent) as f64;
    assert!(share < 0.005, "{share}");
}

#[test]
fn it_grows_again_when_the_server_has_grown() {
    let mut backlog = Backlog::new(|in_flight| up_to(40, in_flight));
    let before = backlog.run(240);
    assert!(before < 60.0, "{before}");
    backlog.rate = |in_flight| up_to(160, in_flight);
    backlog.run(120);
    assert!(backlog.auto.limit() >= 120, "{}", backlog.auto.limit());
}

#[test]
fn a_limit_that_refused_is_tried_again() {
    let mut backlog = Backlog::new(|in_flight| up_to(1_000, in_flight)).most(40);
    backlog.run(120);
    backlog.most = 160;
    backlog.run(120);
    assert!(backlog.auto.limit() >= 120, "{}", backlog.auto.limit());
}

/// Where the rate has changed by itself, it does not wait for the next regular trial.
#[test]
fn it_notices_a_server_that_has_become_faster() {
    let times = [150, 200, 250, 300, 400, 500, 700, 800, 900].map(|settled| {
        let mut backlog = Backlog::new(|in_flight| up_to(100, in_flight));
        backlog.run(settled);
        assert!(backlog.auto.limit() < 130, "{}", backlog.auto.limit());
        backlog.rate = |in_flight| 0.8 * up_to(400, in_flight);
        let steps = (1..20).find(|_| {
            backlog.run(5);
            backlog.auto.limit() >= 180
        });
        5 * steps.expect("it grows within 100 s")
    });
    let mean = times.iter().sum::<u64>() as f64 / times.len() as f64;
    assert!(mean < 30.0, "{times:?}");
}

#[test]
fn it_comes_down_when_the_server_has_shrunk() {
    let mut backlog = Backlog::new(|in_flight| up_to(160, in_flight));
    backlog.run(600);
    assert!(backlog.auto.limit() > 120, "{}", backlog.auto.limit());
    backlog.rate = |in_flight| up_to(40, in_flight);
    backlog.run(300);
    assert!(backlog.auto.limit() < 60, "{}", backlog.auto.limit());
}

/// Neither an outage with refusals nor one with errors freezes it.
#[test]
fn it_comes_back_after_an_outage() {
    for end in [End::Overloaded, End::Failed] {
        let mut backlog = Backlog::new(|in_flight| up_to(100, in_flight));
        backlog.run(60);
        backlog.calls.clear();
        for _ in 0..400 {
            let sent_at = backlog.now;
            backlog.now += Duration::from_millis(250);
            backlog.auto.started(sent_at, 1);
            let _ = backlog.auto.ended(backlog.now, sent_at, end);
            assert!(backlog.auto.limit() >= 1);
        }
        assert!(backlog.auto.limit() <= 4, "{end:?}: {}", backlog.auto.limit());
        backlog.run(60);
        assert!(backlog.auto.limit() >= 60, "{end:?}: {}", backlog.auto.limit());
    }
}

/// A server that accepts calls and ends none is not given more of them. Afterwards the stall has no effect.
#[test]
fn a_stall_changes_nothing() {
    let mut backlog = Backlog::new(|in_flight| up_to(60, in_flight));
    backlog.run(90);
    let before = backlog.auto.limit();
    backlog.rate = |_| 1e-9;
    let during = backlog.run(600);
    assert!((during - before as f64).abs() < 1e-6, "{during}");
    backlog.rate = |in_flight| up_to(60, in_flight);
    let after = backlog.run(60);
    assert!((45.0..90.0).contains(&after), "{after}");
}

/// Calls that a stall has delayed say nothing about the limit. The growth goes on afterwards.
#[test]
fn a_stall_while_it_grows_does_not_end_its_growth() {
    let mut backlog = Backlog::new(|in_flight| up_to(160, in_flight));
    backlog.run(5);
    assert!(backlog.auto.limit() < 100, "{}", backlog.auto.limit());
    backlog.rate = |_| 1e-9;
    backlog.run(60);
    backlog.rate = |in_flight| up_to(160, in_flight);
    backlog.run(20);
    assert!(backlog.auto.limit() >= 120, "{}", backlog.auto.limit());
}

#[test]
fn without_ended_calls_it_does_not_grow() {
    let (mut auto, now) = (AutoConcurrency::new(1, 512), Instant::now());
    (1..=32).for_each(|in_flight| auto.started(now, in_flight));
    assert_eq!(auto.ended(now + s(600), now, End::Abandoned), None);
    assert_eq!(auto.limit(), 32);
}

/// An unused limit says nothing about the server.
#[test]
fn an_unused_limit_does_not_grow() {
    let (mut auto, mut now) = (AutoConcurrency::new(1, 512), Instant::now());
    for _ in 0..200 {
        let sent_at = now;
        (1..=8).for_each(|in_flight| auto.started(sent_at, in_flight));
        now += s(1);
        (0..8).for_each(|_| assert_eq!(auto.ended(now, sent_at, End::Done { work: 50 }), None));
    }
    assert_eq!(auto.limit(), 32);
}

#[test]
fn one_overload_does_not_lower_it_and_three_in_a_row_do() {
    let (mut auto, now) = (AutoConcurrency::new(1, 512), Instant::now());
    (1..=32).for_each(|in_flight| auto.started(now, in_flight));
    let then = now + s(1);
    assert_eq!(auto.ended(then, now, End::Overloaded), None);
    assert_eq!(auto.ended(then, now, End::Overloaded), None);
    // 29 calls are left in flight, and the server may hold those.
    assert_eq!(auto.ended(then, now, End::Overloaded), Some(29));
    // Each further overload of a call that was sent before the cut lowers the limit, but not below half.
    let limits: Vec<_> = (0..20).map(|_| auto.ended(then, now, End::Overloaded)).collect();
    let expected: Vec<_> = (0..20).map(|at| (at < 13).then_some(28 - at)).collect();
    assert_eq!(limits, expected);
    assert_eq!(auto.limit(), 16);
}

#[test]
fn until_a_call_succeeds_each_overload_belongs_to_the_same_cut() {
    let (mut auto, now) = (AutoConcurrency::new(1, 512), Instant::now());
    (1..=32).for_each(|in_flight| auto.started(now, in_flight));
    let limits: Vec<_> = (0..3).filter_map(|_| auto.ended(now + s(1), now, End::Overloaded)).collect();
    assert_eq!(limits, [29]);
    // Another call is sent and refused too: the server holds 28.
    auto.started(now + s(2), 29);
    assert_eq!(auto.ended(now + s(3), now + s(2), End::Overloaded), Some(28));
    // One call succeeds. After that a single overload has no effect again.
    auto.started(now + s(4), 28);
    assert_eq!(auto.ended(now + s(5), now + s(4), End::Done { work: 50 }), None);
    auto.started(now + s(6), 28);
    assert_eq!(auto.ended(now + s(7), now + s(6), End::Overloaded), None);
}

/// Where the work of a call says how long the call takes, an eighth of a round is enough for the rate, and a step takes 2 s.
/// Otherwise it takes a round.
#[test]
fn a_step_takes_two_seconds_or_a_round() {
    let first_growth = |start: usize, work: fn(u64) -> u64| {
        let (mut auto, now) = (AutoConcurrency::new(start, 512), Instant::now());
        (1..=start).for_each(|in_flight| auto.started(now, in_flight));
        (1..=32_u64).find(|number| {
            // Each quarter of a second a call ends and another one is sent.
            let then = now + Duration::from_millis(250 * number);
            let grown = auto.ended(then, now, End::Done { work: work(*number) });
            auto.started(then, start);
            grown.is_some()
        })
    };
    assert_eq!(first_growth(32, |number| 10 * number), Some(8));
    assert_eq!(first_growth(120, |number| 10 * number), Some(15));
    assert_eq!(first_growth(32, |_| 1), Some(32));
}

/// When a proxy closes all connections at once, all calls fail together. That is one event.
#[test]
fn calls_that_fail_together_halve_the_limit_once() {
    let (mut auto, now) = (AutoConcurrency::new(1, 512), Instant::now());
    (1..=32).for_each(|in_flight| auto.started(now, in_flight));
    let limits: Vec<_> = (0..32).filter_map(|_| auto.ended(now + s(1), now, End::Failed)).collect();
    assert_eq!(limits, [16]);
    // If calls that are sent later fail too, it halves again. A success in between prevents that.
    let mut fail = |number: u64| {
        let sent_at = now + s(2 * number);
        auto.started(sent_at, 1);
        let end = if number == 20 { End::Done { work: 50 } } else { End::Failed };
        auto.ended(sent_at + s(1), sent_at, end)
    };
    let limits: Vec<_> = (1..28).filter_map(|number| Some((number, fail(number)?))).collect();
    assert_eq!(limits, [(8, 8), (16, 4)]);
    assert_eq!(fail(28), Some(2));
}

#[test]
fn overloads_among_many_successes_do_not_lower_it() {
    let (mut auto, mut now) = (AutoConcurrency::new(32, 32), Instant::now());
    for number in 0..2_000 {
        auto.started(now, 32);
        let sent_at = now;
        now += Duration::from_millis(20);
        let end = if number % 20 == 0 { End::Overloaded } else { End::Done { work: 50 } };
        assert_eq!(auto.ended(now, sent_at, end), None);
    }
}
