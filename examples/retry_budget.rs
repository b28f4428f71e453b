//! What retries may cost: a report of each call, a budget for all of them, one layer only, and a second call beside a slow
//! one.
//!
//! ```sh
//! cargo run --example retry_budget
//! ```
//!
//! It runs on tokio's paused clock: where every task waits, time jumps to the next timer. So the waits are exact, and
//! minutes take no time.

use std::{cell::Cell, pin::pin, time::Duration};

use outbound::retry::{Budget, Hedge, Latencies, Report, Retry, StopReason, Wait};
use outbound_examples::{Flaky, heading};
use tokio::time::{Instant, sleep};

const INTERACTIVE: Retry = Retry::attempts(3).wait(Wait::fixed(Duration::from_millis(200)));

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ApiError> {
    println!("(on the paused clock)");
    report().await?;
    budget().await?;
    layers().await?;
    hedging().await
}

/// What the service of this program fails with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ApiError {
    Overloaded,
    BadRequest,
}

impl ApiError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Overloaded)
    }
}

async fn report() -> Result<(), ApiError> {
    heading("The report: what it came to, and why it stopped");
    fn show(name: &str, report: Report) -> Option<StopReason> {
        let stopped = report.stopped().map_or_else(|| "succeeded".to_owned(), |reason| reason.to_string());
        println!("{name}: {} attempts, {:.1?} slept, {stopped}", report.attempts(), report.slept());
        report.stopped()
    }
    let slow =
        Retry::attempts(10).within(Duration::from_secs(10)).wait(Wait::fibonacci(Duration::from_secs(1)));
    for (name, policy, failures, error, reason) in [
        ("comes back", INTERACTIVE, 1, ApiError::Overloaded, None),
        ("stays down", INTERACTIVE, 9, ApiError::Overloaded, Some(StopReason::Attempts)),
        ("stays down, slowly", slow, 9, ApiError::Overloaded, Some(StopReason::Deadline)),
        ("bad request", slow, 9, ApiError::BadRequest, Some(StopReason::NotRetryable)),
        ("switched off", slow.enabled(false), 9, ApiError::Overloaded, Some(StopReason::Disabled)),
    ] {
        let service = Flaky::failing(failures, error);
        // A call that is pinned can be asked after its end.
        let mut call = pin!(policy.when(ApiError::is_transient).call(|_| service.call()));
        let result = call.as_mut().await;
        assert_eq!(result.is_ok(), reason.is_none());
        assert_eq!(show(name, call.report()), reason);
    }
    Ok(())
}

async fn budget() -> Result<(), ApiError> {
    heading("A budget: many callers together do not overload a service that is down");
    // Extra calls are one in ten at most, beyond a reserve of three.
    let budget = Budget::percent(10).reserve(3);
    let service = Flaky::failing(u32::MAX, ApiError::Overloaded);
    for _ in 0..50 {
        let call = INTERACTIVE.when(ApiError::is_transient).budget(&budget);
        // Each of them fails. What counts is how often it was tried.
        let _ = call.call(|_| service.call()).await;
    }
    println!(
        "50 requests, {} calls instead of 150; {} retries refused by the budget",
        service.calls(),
        budget.denied()
    );
    assert_eq!(service.calls(), 50 + 3 + 5);
    Ok(())
}

async fn layers() -> Result<(), ApiError> {
    heading("Layers: retries inside retries do not multiply");
    // A library has a policy of its own. It does not retry where its caller does.
    const LIBRARY: Retry = INTERACTIVE.outermost();
    let service = Flaky::failing(99, ApiError::Overloaded);
    let error = INTERACTIVE.call(|_| LIBRARY.call(|_| service.call())).await;
    println!("{error:?} after {} calls instead of 9", service.calls());
    assert_eq!(service.calls(), 3);
    Ok(())
}

async fn hedging() -> Result<(), ApiError> {
    heading("Hedging: a second attempt beside one that is slow");
    const HEDGE: Hedge = Hedge::at_percentile(95);
    // Answers in 100 ms, but for every fiftieth request, which takes 10 s.
    let sent = Cell::new(0);
    let search = || {
        sent.set(sent.get() + 1);
        let takes = if sent.get() % 50 == 0 { 10_000 } else { 100 };
        async move {
            sleep(Duration::from_millis(takes)).await;
            Ok::<_, ApiError>("results")
        }
    };
    // It measures what is slow. The budget bounds the cost: at most one extra request in twenty.
    let (latencies, budget) = (Latencies::new(), Budget::percent(5).reserve(0));
    let mut slowest = Duration::ZERO;
    for _ in 0..1_000 {
        let begun = Instant::now();
        // The name is a promise: a search may run twice at the same time, an order must not.
        HEDGE.call_idempotent(&latencies, &budget, |_| search()).await?;
        slowest = slowest.max(begun.elapsed());
    }
    let extra = sent.get() - 1_000;
    println!("1000 searches, {extra} of them twice; the slowest took {slowest:.1?} instead of 10 s");
    assert!(slowest < Duration::from_millis(210) && extra <= 50);
    Ok(())
}
