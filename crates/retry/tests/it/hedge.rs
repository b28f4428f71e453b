//! Hedged calls: which attempt is the answer, when a hedge is made, and what it costs.

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use outbound_retry::{Attempt, Budget, Hedge, Latencies, Retry, Wait};
use tokio::time::{Instant, advance, sleep, timeout_at};

use crate::ms;

mod cancel;
mod measured;
mod model;
mod simulation;

const HEDGE: Hedge = Hedge::at_percentile(95);
const DELAY: Duration = ms(100);

/// Latencies of a server whose latest calls all took this long.
fn took(latency: Duration) -> Latencies {
    let latencies = Latencies::new();
    (0..256).for_each(|_| latencies.record(latency));
    latencies
}

fn budget(hedges: u32) -> Budget {
    Budget::percent(0).reserve(hedges)
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

type Output = Result<&'static str, &'static str>;

/// What the original and the hedge do: how long each takes, in ms, and its result.
struct Server {
    answers: [(u64, Output); 2],
    begun: RefCell<Vec<Duration>>,
    under_way: Cell<u32>,
    started: Instant,
}

impl Server {
    fn new(original: (u64, Output), hedge: (u64, Output)) -> Self {
        let (begun, under_way, started) = (RefCell::default(), Cell::default(), Instant::now());
        Self { answers: [original, hedge], begun, under_way, started }
    }

    fn call(&self, attempt: Attempt) -> Sent<'_> {
        self.begun.borrow_mut().push(self.started.elapsed());
        self.under_way.set(self.under_way.get() + 1);
        let (takes, output) = self.answers[attempt.number() as usize - 1];
        let answer = Box::pin(async move {
            if takes > 0 {
                sleep(ms(takes)).await;
            }
            output
        });
        Sent { answer, server: self }
    }

    /// When the attempts began, in ms.
    fn begun(&self) -> Vec<u64> {
        self.begun.borrow().iter().map(|at| at.as_millis() as u64).collect()
    }
}

/// An attempt that counts as under way until it is dropped. A future that is ready need not be dropped at once.
struct Sent<'a> {
    answer: Pin<Box<dyn Future<Output = Output> + 'a>>,
    server: &'a Server,
}

impl Future for Sent<'_> {
    type Output = Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        self.answer.as_mut().poll(cx)
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.server.under_way.set(self.server.under_way.get() - 1);
    }
}

/// Makes the call, and checks that no attempt is under way when the output is returned. Gives the output and the time.
async fn call(hedge: Hedge, server: &Server, budget: &Budget) -> (Output, u64) {
    let latencies = took(DELAY);
    let mut call = pin!(hedge.call_idempotent(&latencies, budget, |attempt| server.call(attempt)));
    let output = call.as_mut().await;
    assert_eq!(server.under_way.get(), 0, "both are dropped before the output is returned");
    (output, server.started.elapsed().as_millis() as u64)
}

#[tokio::test(start_paused = true)]
async fn the_first_to_succeed_is_the_answer() {
    let server = Server::new((900, Ok("original")), (30, Ok("hedge")));
    assert_eq!(call(HEDGE, &server, &budget(1)).await, (Ok("hedge"), 130));
    assert_eq!(server.begun(), [0, 100]);

    let server = Server::new((120, Ok("original")), (30, Ok("hedge")));
    assert_eq!(call(HEDGE, &server, &budget(1)).await, (Ok("original"), 120));
    assert_eq!(server.begun(), [0, 100]);

    let server = Server::new((100, Ok("original")), (0, Ok("hedge")));
    assert_eq!(call(HEDGE, &server, &budget(1)).await, (Ok("original"), 100));
    assert_eq!(server.begun(), [0], "the original is ready exactly when the hedge is due");
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_hide_an_attempt_that_may_succeed() {
    let server = Server::new((300, Ok("original")), (10, Err("hedge")));
    assert_eq!(call(HEDGE, &server, &budget(9)).await, (Ok("original"), 300));
    assert_eq!(server.begun(), [0, 100], "there is no second hedge");

    let server = Server::new((110, Err("original")), (200, Ok("hedge")));
    assert_eq!(call(HEDGE, &server, &budget(9)).await, (Ok("hedge"), 300));
}

#[tokio::test(start_paused = true)]
async fn where_both_fail_the_error_is_the_original_s() {
    for (original, hedge, end) in [(110, 200, 300), (300, 10, 300), (110, 10, 110)] {
        let server = Server::new((original, Err("original")), (hedge, Err("hedge")));
        assert_eq!(call(HEDGE, &server, &budget(1)).await, (Err("original"), end));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_hedge_is_due_is_the_answer() {
    let server = Server::new((99, Err("original")), (0, Ok("hedge")));
    assert_eq!(call(HEDGE, &server, &budget(1)).await, (Err("original"), 99));
    assert_eq!(server.begun(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_final_error_ends_both() {
    for (answers, expected) in [
        ([(900, Ok("original")), (10, Err("final"))], (Err("final"), 110)),
        ([(110, Err("final")), (900, Ok("hedge"))], (Err("final"), 110)),
        ([(110, Err("original")), (90, Err("final"))], (Err("final"), 190)),
        ([(110, Err("original")), (90, Ok("hedge"))], (Ok("hedge"), 190)),
    ] {
        let server = Server::new(answers[0], answers[1]);
        let (latencies, budget) = (took(DELAY), budget(1));
        let hedge = HEDGE.when(|error: &&str| *error != "final");
        let mut call = pin!(hedge.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)));
        assert_eq!(call.as_mut().await, expected.0);
        assert_eq!(server.started.elapsed(), ms(expected.1));
        assert_eq!(server.under_way.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_budget_refuses_the_original_runs_on() {
    let budget = Budget::percent(50).reserve(0);
    for (n, expected) in [(1, "original"), (2, "hedge"), (3, "original"), (4, "hedge")] {
        let server = Server::new((300, Ok("original")), (10, Ok("hedge")));
        assert_eq!(call(HEDGE, &server, &budget).await.0, Ok(expected), "call {n}");
    }
    assert_eq!((budget.available(), budget.denied()), (0, 2), "the budget is asked once for each call");
}

#[tokio::test(start_paused = true)]
async fn no_hedge_at_the_deadline_or_after_it() {
    for (until, expected) in [(101, [0, 100].as_slice()), (100, &[0]), (0, &[0])] {
        let server = Server::new((300, Ok("original")), (10, Ok("hedge")));
        let (hedge, budget) = (HEDGE.until(Instant::now() + ms(until)), budget(1));
        call(hedge.until(None), &server, &budget).await.0.unwrap();
        assert_eq!(server.begun(), expected, "until {until} ms");
        assert_eq!(budget.available() + expected.len() as u64, 2);
        assert_eq!(budget.denied(), 0, "the budget is not asked where there is no time");
    }
    // The earlier one counts, and the attempts are told of it.
    let (latencies, until) = (took(DELAY), Instant::now() + ms(500));
    let hedge = HEDGE.until(until + ms(500)).until(until).until(until + ms(500));
    let budget = budget(1);
    let call = hedge.call_idempotent(&latencies, &budget, |attempt| async move {
        timeout_at(attempt.deadline().unwrap(), pending::<()>()).await
    });
    assert!(call.await.is_err());
    assert_eq!(Instant::now(), until);
}

#[test]
fn a_call_whose_hedge_would_be_too_late_takes_no_timer() {
    let (latencies, budget) = (took(DELAY), budget(1));
    let hedge = HEDGE.until(Instant::now() + DELAY / 2);
    let call = hedge.call_idempotent(&latencies, &budget, |_| pending::<Output>());
    assert!(poll_once(call).is_pending(), "it needs no runtime");
}

#[tokio::test(start_paused = true)]
async fn a_hedge_whose_time_came_too_late_is_not_made() {
    let server = Server::new((900, Ok("original")), (10, Ok("hedge")));
    let (latencies, budget) = (took(DELAY), budget(1));
    let hedge = HEDGE.until(Instant::now() + ms(200));
    let mut call = pin!(hedge.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)));
    assert!(futures::poll!(call.as_mut()).is_pending());
    // As if the thread was busy until after the deadline.
    advance(ms(300)).await;
    assert_eq!(call.await, Ok("original"));
    assert_eq!((server.begun(), budget.available()), (vec![0], 1));
}

#[tokio::test(start_paused = true)]
async fn an_original_that_is_ready_at_a_late_poll_needs_no_hedge() {
    let server = Server::new((150, Ok("original")), (0, Ok("hedge")));
    let (latencies, budget) = (took(DELAY), budget(1));
    let mut call = pin!(HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)));
    assert!(futures::poll!(call.as_mut()).is_pending());
    advance(ms(300)).await;
    assert_eq!(call.await, Ok("original"));
    assert_eq!((server.begun(), budget.available()), (vec![0], 1));
}

#[tokio::test(start_paused = true)]
async fn no_delay_is_shorter_than_the_minimum() {
    for (least, delay) in [(ms(250), 250), (ms(20), 100), (Duration::ZERO, 100)] {
        let server = Server::new((900, Ok("original")), (10, Ok("hedge")));
        call(HEDGE.min_delay(least), &server, &budget(1)).await.0.unwrap();
        assert_eq!(server.begun(), [0, delay]);
    }
    let latencies = took(Duration::ZERO);
    for hedge in [HEDGE, HEDGE.min_delay(Duration::ZERO)] {
        let server = Server::new((900, Ok("original")), (10, Ok("hedge")));
        let budget = budget(1);
        hedge.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)).await.unwrap();
        assert_eq!(server.begun(), [0, 1]);
    }
    // The longest delay never ends, and does not panic.
    let server = Server::new((900, Ok("original")), (10, Ok("hedge")));
    assert_eq!(call(HEDGE.min_delay(Duration::MAX), &server, &budget(1)).await, (Ok("original"), 900));
}

#[test]
#[should_panic(expected = "polled after it had finished")]
fn a_poll_after_the_end_panics_with_a_clear_message() {
    let (latencies, budget) = (Latencies::new(), budget(1));
    let mut call = pin!(HEDGE.call_idempotent(&latencies, &budget, |_| ready(Ok::<_, ()>(()))));
    assert!(poll_once(call.as_mut()).is_ready());
    let _ = poll_once(call);
}

#[tokio::test(start_paused = true)]
async fn inside_a_retry_each_attempt_is_hedged_within_its_limits() {
    const RETRY: Retry = Retry::attempts(3).wait(Wait::fixed(ms(10))).within(ms(1_000));
    let (latencies, budget) = (took(DELAY), Budget::percent(50).reserve(2));
    let (latencies, budget, started) = (&latencies, &budget, Instant::now());
    let begun = &RefCell::new(Vec::new());
    let call = RETRY.budget(budget).call(|retry| {
        let hedge = HEDGE.until(retry.deadline());
        hedge.call_idempotent(latencies, budget, move |attempt| async move {
            begun.borrow_mut().push((retry.number(), attempt.number(), started.elapsed()));
            assert!(attempt.deadline().unwrap() <= started + ms(1_000));
            sleep(ms(120)).await;
            if retry.number() == 2 && attempt.number() == 2 { Ok("reply") } else { Err("busy") }
        })
    });
    assert_eq!(call.await, Ok("reply"));
    let at = [(1, 1, 0), (1, 2, 100), (2, 1, 230), (2, 2, 330)];
    assert_eq!(*begun.borrow(), at.map(|(retry, attempt, at)| (retry, attempt, ms(at))));
    // Paid in: the reserve of two, and a half each by the retry's call and by its two hedged attempts. Taken out: one
    // retry and two hedges.
    assert_eq!(budget.available(), 0);
    budget.deposit();
    assert_eq!(budget.available(), 1, "a half was left before this deposit");
}

#[test]
fn defaults_are_as_documented() {
    let shown = |hedge: Hedge| format!("{hedge:?}");
    assert_eq!(shown(HEDGE), shown(HEDGE.min_delay(ms(1)).until(None)));
    assert_ne!(shown(HEDGE), shown(HEDGE.min_delay(ms(2))));
    assert_ne!(shown(HEDGE), shown(HEDGE.until(Instant::now())));
}

#[test]
fn debug_shows_no_error_and_no_operation() {
    let (latencies, budget) = (Latencies::new(), budget(1));
    let call = HEDGE
        .when(|_: &String| true)
        .call_idempotent(&latencies, &budget, |_| ready(Err::<(), _>("secret".to_owned())));
    let shown = format!("{call:?}");
    assert!(shown.starts_with("Hedged") && !shown.contains("secret"), "{shown}");
}
