//! Streams that are opened again until their first item.

use std::{cell::Cell, pin::pin};

use futures::{Stream, StreamExt, stream};
use outbound_retry::{Attempt, Budget, Retry, StopReason, Wait};
use tokio::time::Instant;

use crate::ms;

const POLICY: Retry = Retry::attempts(3).wait(Wait::fixed(ms(10)));

type Item = Result<u32, &'static str>;

/// Opens a stream with the items of each attempt in turn.
fn opener(
    attempts: &'static [&'static [Item]],
) -> impl FnMut(Attempt) -> stream::Iter<std::iter::Copied<std::slice::Iter<'static, Item>>> {
    move |attempt| stream::iter(attempts[attempt.number() as usize - 1].iter().copied())
}

async fn collect(stream: impl Stream<Item = Item>) -> Vec<Item> {
    stream.collect().await
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_first_item_opens_the_stream_again() {
    let started = Instant::now();
    let open = opener(&[&[Err("overloaded")], &[Err("cut")], &[Ok(1), Ok(2)]]);
    assert_eq!(collect(POLICY.stream(open)).await, [Ok(1), Ok(2)]);
    assert_eq!(started.elapsed(), ms(20));
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_first_item_is_passed_on() {
    let open = opener(&[&[Err("overloaded")], &[Ok(1), Err("cut"), Ok(2)]]);
    assert_eq!(
        collect(POLICY.stream(open)).await,
        [Ok(1), Err("cut"), Ok(2)],
        "the error is passed on unchanged"
    );
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_as_a_call_does_and_then_ends() {
    let mut streamed = pin!(POLICY.stream(opener(&[&[Err("a")], &[Err("b")], &[Err("c"), Ok(1)]])));
    assert_eq!(streamed.next().await, Some(Err("c")));
    assert_eq!(streamed.next().await, None);
    assert_eq!(streamed.next().await, None);
    assert_eq!(streamed.report().stopped(), Some(StopReason::Attempts));
    assert_eq!(streamed.report().attempts(), 3);

    let judged =
        POLICY.when(|error: &&str| *error == "again").stream(opener(&[&[Err("again")], &[Err("no")]]));
    assert_eq!(collect(judged).await, [Err("no")]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_items_has_not_failed() {
    assert_eq!(collect(POLICY.stream(opener(&[&[]]))).await, []);
}

#[tokio::test(start_paused = true)]
async fn budget_deadline_and_yielding_work_as_for_a_call() {
    let budget = Budget::percent(0).reserve(1);
    let fails = opener(&[&[Err("a")], &[Err("b")], &[Ok(1)]]);
    assert_eq!(collect(POLICY.budget(&budget).stream(fails)).await, [Err("b")]);

    let started = Instant::now();
    let fails = opener(&[&[Err("a")], &[Err("b")], &[Ok(1)]]);
    assert_eq!(collect(POLICY.within(ms(15)).stream(fails)).await, [Err("b")]);
    assert_eq!(started.elapsed(), ms(10));

    let turns = Cell::new(0);
    let at_once = Retry::attempts(100).wait(Wait::none());
    let mut busy = pin!(at_once.stream(|_| {
        turns.set(turns.get() + 1);
        stream::iter([Item::Err("x")])
    }));
    assert!(futures::poll!(busy.next()).is_pending(), "it lets other tasks run");
    assert_eq!(busy.next().await, Some(Err("x")));
    assert_eq!(turns.get(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_is_waited_for() {
    let started = Instant::now();
    let policy = POLICY.within(ms(12));
    let slow = policy.stream(|attempt: Attempt| {
        stream::once(async move {
            tokio::time::sleep(ms(5)).await;
            if attempt.is_retry() { Ok(1) } else { Err("stalled") }
        })
    });
    assert_eq!(collect(slow).await, [Err("stalled")]);
    assert_eq!(started.elapsed(), ms(5), "a further wait would go beyond the limit");
    let shown = format!("{:?}", POLICY.stream(opener(&[])));
    assert!(shown.starts_with("RetryStream"));
}
