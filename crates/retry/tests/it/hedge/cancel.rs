//! What dropping a hedged call does in each of its states, and what a panic leaves behind.

use std::{
    future::{Future, pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use outbound_retry::Attempt;
use tokio::time::{Instant, sleep, timeout};

use super::{DELAY, HEDGE, Server, budget, call, took};
use crate::{idle_in_real_time, ms};

#[tokio::test(start_paused = true)]
async fn dropped_in_any_state_it_drops_both_and_leaves_the_budget_right() {
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
        idle_in_real_time().await;
        assert_eq!(Instant::now(), dropped, "no wake-up is left");
    }
    // In the state where the original has failed and the hedge runs.
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
            Ok(polled) => polled.map(|_| panic!("it was to panic")),
            Err(payload) => Poll::Ready(payload),
        });
        payload.await;
        drop(call);
        assert_eq!(server.under_way.get(), 0, "{at}");
    }
    assert_eq!(budget.available(), 5, "every hedge that was made is paid for");
    let server = Server::new((900, Ok("original")), (30, Ok("hedge")));
    assert_eq!(call(HEDGE, &server, &budget).await, (Ok("hedge"), 130));
    assert_eq!(latencies.percentile(50), Some(DELAY));
}
