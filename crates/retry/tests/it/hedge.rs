use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use outbound_retry::{Attempt, Budget, Hedge, Latencies, Retry, Wait};
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep, timeout, timeout_at};

use crate::ms;

const HEDGE: Hedge = Hedge::at_percentile(95);
const DELAY: Duration = ms(100);

/// A server that lately took as long.
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

/// What the original attempt and the hedge do: how long they take, in ms, and what comes of it.
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

    /// When its attempts began, in ms.
    fn begun(&self) -> Vec<u64> {
        self.begun.borrow().iter().map(|at| at.as_millis() as u64).collect()
    }
}

/// Under way until it is dropped, which a finished future need not be at once.
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

/// Makes the call, and looks that nothing is under way when its output is there.
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
    assert_eq!(server.begun(), [0], "just in time");
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_hide_an_attempt_that_may_succeed() {
    let server = Server::new((300, Ok("original")), (10, Err("hedge")));
    assert_eq!(call(HEDGE, &server, &budget(9)).await, (Ok("original"), 300));
    assert_eq!(server.begun(), [0, 100], "and there is no second hedge");

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
async fn no_hedge_before_enough_is_known() {
    let (latencies, budget) = (Latencies::new(), budget(9));
    for n in 0..=20 {
        let server = Server::new((100 + n, Ok("original")), (0, Ok("hedge")));
        let call = HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt));
        let expected = if n < 20 { "original" } else { "hedge" };
        assert_eq!(call.await, Ok(expected), "{n} known");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_budget_refuses_leaves_the_original_running() {
    let budget = Budget::percent(50).reserve(0);
    for (n, expected) in [(1, "original"), (2, "hedge"), (3, "original"), (4, "hedge")] {
        let server = Server::new((300, Ok("original")), (10, Ok("hedge")));
        assert_eq!(call(HEDGE, &server, &budget).await.0, Ok(expected), "call {n}");
    }
    assert_eq!((budget.available(), budget.denied()), (0, 2), "it is asked once a call");
}

#[tokio::test(start_paused = true)]
async fn no_hedge_at_the_deadline_or_after_it() {
    for (until, expected) in [(101, [0, 100].as_slice()), (100, &[0]), (0, &[0])] {
        let server = Server::new((300, Ok("original")), (10, Ok("hedge")));
        let (hedge, budget) = (HEDGE.until(Instant::now() + ms(until)), budget(1));
        call(hedge.until(None), &server, &budget).await.0.unwrap();
        assert_eq!(server.begun(), expected, "until {until} ms");
        assert_eq!(budget.available() + expected.len() as u64, 2);
        assert_eq!(budget.denied(), 0, "it is not asked in vain");
    }
    // The earlier one counts, and the attempts are told.
    let (latencies, until) = (took(DELAY), Instant::now() + ms(500));
    let hedge = HEDGE.until(until + ms(500)).until(until).until(until + ms(500));
    let budget = budget(1);
    let call = hedge.call_idempotent(&latencies, &budget, |attempt| async move {
        timeout_at(attempt.deadline().unwrap(), pending::<()>()).await
    });
    assert!(call.await.is_err());
    assert_eq!(Instant::now(), until);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_whose_time_came_too_late_is_not_made() {
    let server = Server::new((900, Ok("original")), (10, Ok("hedge")));
    let (latencies, budget) = (took(DELAY), budget(1));
    let hedge = HEDGE.until(Instant::now() + ms(200));
    let mut call = pin!(hedge.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)));
    assert!(futures::poll!(call.as_mut()).is_pending());
    // A thread that was busy for longer than the deadline.
    advance(ms(300)).await;
    assert_eq!(call.await, Ok("original"));
    assert_eq!((server.begun(), budget.available()), (vec![0], 1));
}

#[tokio::test(start_paused = true)]
async fn an_original_that_is_done_when_it_is_looked_at_needs_no_hedge() {
    let server = Server::new((150, Ok("original")), (0, Ok("hedge")));
    let (latencies, budget) = (took(DELAY), budget(1));
    let mut call = pin!(HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)));
    assert!(futures::poll!(call.as_mut()).is_pending());
    advance(ms(300)).await;
    assert_eq!(call.await, Ok("original"));
    assert_eq!((server.begun(), budget.available()), (vec![0], 1));
}

#[tokio::test(start_paused = true)]
async fn no_delay_is_shorter_than_the_least() {
    for (least, delay) in [(ms(250), 250), (ms(20), 100), (Duration::ZERO, 100)] {
        let server = Server::new((900, Ok("original")), (10, Ok("hedge")));
        call(HEDGE.min_delay(least), &server, &budget(1)).await.0.unwrap();
        assert_eq!(server.begun(), [0, delay]);
    }
    let latencies = took(Duration::from_nanos(1));
    for hedge in [HEDGE, HEDGE.min_delay(Duration::ZERO)] {
        let server = Server::new((900, Ok("original")), (10, Ok("hedge")));
        let budget = budget(1);
        hedge.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)).await.unwrap();
        assert_eq!(server.begun(), [0, 1]);
    }
    // The longest there is comes never, and does not panic.
    let server = Server::new((900, Ok("original")), (10, Ok("hedge")));
    assert_eq!(call(HEDGE.min_delay(Duration::MAX), &server, &budget(1)).await, (Ok("original"), 900));
}

#[test]
fn a_call_that_is_ready_at_once_needs_no_runtime_and_is_not_measured() {
    let (latencies, budget) = (Latencies::new(), Budget::percent(100).reserve(0));
    for n in 1..=50 {
        let call = HEDGE.call_idempotent(&latencies, &budget, |attempt| ready(Ok::<_, ()>(attempt.number())));
        assert_eq!(poll_once(call), Poll::Ready(Ok(1)));
        assert_eq!(budget.available(), n, "each call pays in");
    }
    assert_eq!(latencies.percentile(1), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_measured() {
    /// Whether such a call, dropped after so long, adds a latency.
    async fn adds(original: (u64, Output), hedge: (u64, Output), patience: u64) -> bool {
        let (latencies, budget) = (Latencies::new(), budget(1));
        (0..30).for_each(|_| latencies.record(DELAY));
        let server = Server::new(original, hedge);
        let call = HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt));
        let _ = timeout(ms(patience), call).await;
        format!("{latencies:?}").contains("known: 31")
    }
    const LONG: u64 = 10_000;
    let slow = (900, Ok("original"));
    assert!(adds((50, Ok("original")), slow, LONG).await, "a success");
    assert!(adds(slow, (900, Ok("hedge")), LONG).await, "a slow one");
    assert!(adds(slow, (10, Ok("hedge")), LONG).await, "one that its hedge ended");
    assert!(!adds((50, Err("refused")), slow, LONG).await, "a quick failure says nothing");
    assert!(adds((150, Err("original")), (900, Err("hedge")), LONG).await, "a slow one says that it is slow");
    assert!(!adds(slow, slow, 99).await, "dropped before it was slow");
    assert!(adds(slow, slow, 101).await, "dropped when it was");
}

#[tokio::test(start_paused = true)]
async fn calls_cut_by_their_callers_are_still_known_to_be_slow() {
    // A tenth takes an hour, and nobody waits longer than 200 ms: without those the slowest would take 60 ms.
    let (latencies, budget) = (Latencies::new(), budget(0));
    for n in 0..1_000_u64 {
        let takes = if n % 10 == 9 { 3_600_000 } else { 10 + n % 50 };
        let call = HEDGE.call_idempotent(&latencies, &budget, |_| async move {
            sleep(ms(takes)).await;
            Ok::<_, ()>(())
        });
        let _ = timeout(ms(200), call).await;
    }
    assert_eq!(latencies.percentile(95), Some(ms(200)));
}

#[tokio::test(start_paused = true)]
async fn dropped_in_any_state_it_drops_both_and_owes_nothing() {
    for (after, attempts, paid) in [(None, 0, 0), (Some(50), 1, 0), (Some(150), 2, 1)] {
        let server = Server::new((900, Ok("original")), (900, Ok("hedge")));
        let (latencies, budget) = (took(DELAY), budget(5));
        let mut call = Box::pin(HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)));
        if let Some(after) = after {
            assert!(timeout(ms(after), call.as_mut()).await.is_err());
        }
        assert_eq!(server.under_way.get(), attempts);
        drop(call);
        assert_eq!(server.under_way.get(), 0);
        assert_eq!((budget.available(), server.begun().len() as u32), (5 - paid, attempts));
        let dropped = Instant::now();
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert_eq!(Instant::now(), dropped, "no wake-up is left");
    }
    // With the original's failure in hand.
    let server = Server::new((150, Err("original")), (900, Ok("hedge")));
    let (latencies, budget) = (took(DELAY), budget(5));
    let call = HEDGE.call_idempotent(&latencies, &budget, |attempt| server.call(attempt));
    assert!(timeout(ms(200), call).await.is_err());
    assert_eq!((server.under_way.get(), budget.available()), (0, 4));
}

#[test]
fn dropped_on_another_thread_and_after_its_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (latencies, budget) = (took(DELAY), budget(5));
    let waiting = || {
        let mut call = Box::pin(HEDGE.call_idempotent(&latencies, &budget, |_| pending::<Result<(), ()>>()));
        runtime.block_on(poll_fn(|cx| {
            assert!(call.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        }));
        call
    };
    let call = waiting();
    std::thread::scope(|scope| scope.spawn(move || drop(call)).join().unwrap());
    let call = waiting();
    drop(runtime);
    drop(call);
    assert_eq!(budget.available(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_panic_passes_through_and_poisons_nothing() {
    let (latencies, budget) = (took(DELAY), budget(9));
    for at in ["to make the hedge", "in the hedge", "in the original", "in the verdict"] {
        let server = Server::new((120, Err("original")), (900, Ok("hedge")));
        let hedge = HEDGE.when(|_: &&str| -> bool { panic!("in the verdict") });
        let operation = |attempt: Attempt| {
            let sent = server.call(attempt);
            assert!(!(attempt.is_retry() && at == "to make the hedge"), "{at}");
            async move {
                if attempt.is_retry() {
                    assert_ne!(at, "in the hedge");
                } else if at == "in the original" {
                    sleep(ms(110)).await;
                    panic!("{at}");
                }
                sent.await
            }
        };
        let mut call = Box::pin(hedge.call_idempotent(&latencies, &budget, operation));
        let payload = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
            Ok(polled) => polled.map(|_| panic!("nothing else comes of it")),
            Err(payload) => Poll::Ready(payload),
        });
        payload.await;
        drop(call);
        assert_eq!(server.under_way.get(), 0, "{at}");
    }
    assert_eq!(budget.available(), 5, "a hedge that was begun is paid for");
    let server = Server::new((900, Ok("original")), (30, Ok("hedge")));
    assert_eq!(call(HEDGE, &server, &budget).await, (Ok("hedge"), 130));
    assert_eq!(latencies.percentile(50), Some(DELAY));
}

#[test]
#[should_panic(expected = "polled after it had finished")]
fn polling_on_after_the_end_is_a_clear_panic() {
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
    let call = RETRY.any_error().budget(budget).call(|retry| {
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
    // Three and a half in: the reserve, and a half each from the call and its two attempts. Three out: a retry and two
    // hedges.
    assert_eq!(budget.available(), 0);
    budget.deposit();
    assert_eq!(budget.available(), 1, "a half was left");
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

/// What comes of a call, and when; whether it was hedged.
fn model(
    [original, hedge]: [(u64, Output); 2],
    delay: u64,
    until: u64,
    affordable: bool,
) -> (Output, u64, bool) {
    let hedged = original.0 > delay && delay < until && affordable;
    if !hedged {
        return (original.1, original.0, false);
    }
    // At the same time the original counts.
    let hedge = (delay + hedge.0, hedge.1);
    let (first, second) = if original.0 <= hedge.0 { (original, hedge) } else { (hedge, original) };
    let (output, at) = match (first.1, second.1) {
        (Err("busy"), Err("busy")) => (Err("busy"), second.0),
        (Err("busy"), decided) => (decided, second.0),
        (decided, _) => (decided, first.0),
    };
    (output, at, true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_call_does_what_the_model_does(
        answers in proptest::array::uniform2((
            0..40u64, prop_oneof![Just(Ok("reply")), Just(Err("busy")), Just(Err("final"))],
        )),
        delay in 1..20u64,
        until in 1..25u64,
        affordable: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let actual = runtime.block_on(async {
            let server = Server::new(answers[0], answers[1]);
            let (latencies, budget) = (took(ms(delay)), budget(affordable.into()));
            let hedge = HEDGE.when(|error: &&str| *error == "busy").until(Instant::now() + ms(until));
            let mut call = pin!(hedge.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)));
            let output = call.as_mut().await;
            assert_eq!(server.under_way.get(), 0);
            let hedged = server.begun().len() == 2;
            assert_eq!(budget.available(), u64::from(affordable && !hedged));
            (output, server.started.elapsed().as_millis() as u64, hedged)
        });
        prop_assert_eq!(actual, model(answers, delay, until, affordable));
    }
}
