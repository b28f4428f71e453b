//! No future can starve its limit: not by the cooperative budget, by waking itself, or by blocking.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
};

use outbound_timeout::{TimeoutExt, timeout};
use tokio::{task::coop, time::Instant};

use crate::ms;

#[tokio::test]
async fn an_inner_future_that_spends_the_cooperative_budget_is_cut() {
    let started = Instant::now();
    let greedy = poll_fn(|cx| {
        while coop::has_budget_remaining() {
            let _ = pin!(coop::consume_budget()).as_mut().poll(cx);
        }
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    assert!(timeout(ms(5), greedy).await.is_err());
    assert!(started.elapsed() >= ms(5));
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_does_not_make_the_limit_spin() {
    let polls = std::cell::Cell::new(0);
    let greedy = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        while coop::has_budget_remaining() {
            let _ = pin!(coop::consume_budget()).as_mut().poll(cx);
        }
        Poll::<()>::Pending
    });
    assert!(timeout(ms(5), greedy).await.is_err());
    assert_eq!(polls.get(), 3, "the first poll, one more to register the timer, and one at the limit");
}

#[tokio::test]
async fn an_inner_future_that_wakes_itself_for_ever_is_cut() {
    let busy = poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    assert!(timeout(ms(5), busy).await.is_err());
}

#[tokio::test]
async fn a_blocking_poll_makes_it_late_by_no_more_than_the_block() {
    let mut polls = 0;
    let blocking = poll_fn(|cx| {
        polls += 1;
        let until = Instant::now() + ms(20);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    // The first poll ends at 20 ms, so the limit ends at 25 ms. The second poll ends at 40 ms, when it has passed.
    assert!(timeout(ms(5), blocking).await.is_err());
    assert_eq!(polls, 2);
}

#[tokio::test]
async fn a_signal_is_not_starved_by_a_busy_future() {
    let busy = poll_fn(|cx| {
        while coop::has_budget_remaining() {
            let _ = pin!(coop::consume_budget()).as_mut().poll(cx);
        }
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    let (stop, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(async move { stop.send(()) });
    assert_eq!(busy.until(stopped).await, Err(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn many_limits_in_one_task_all_fire_on_time() {
    let started = Instant::now();
    let limits = (1..=500).map(|n| async move {
        assert!(timeout(ms(n), pending::<()>()).await.is_err());
        assert_eq!(started.elapsed(), ms(n));
    });
    futures::future::join_all(limits).await;
}
