//! Limits on streams: for the whole, to the first item, between items.

use std::{pin::pin, time::Duration};

use futures::{FutureExt, Stream, StreamExt, stream};
use outbound_timeout::{Counts, Deadline, Limit, StreamLimits, StreamTimeoutExt};
use tokio::time::{Instant, advance, sleep};

use crate::ms;

/// A stream that gives each item after its delay, and then ends.
fn paced<T>(items: impl IntoIterator<Item = (u64, T)>) -> impl Stream<Item = T> {
    stream::unfold(items.into_iter(), |mut items| async move {
        let (delay, item) = items.next()?;
        sleep(ms(delay)).await;
        Some((item, items))
    })
}

/// Runs the stream to its end. Gives the number of items, the limit that ended it if one did, and the time it took.
async fn run<S: Stream, C: FnMut(&S::Item) -> Counts>(
    stream: outbound_timeout::Limited<S, C>,
) -> (usize, Option<Limit>, Duration) {
    let started = Instant::now();
    let mut stream = pin!(stream);
    let (mut items, mut limit) = (0, None);
    while let Some(next) = stream.next().await {
        assert_eq!(limit, None, "nothing comes after an error");
        match next {
            Ok(_) => items += 1,
            Err(elapsed) => limit = Some(elapsed.limit()),
        }
    }
    assert!(stream.next().await.is_none(), "it stays ended");
    assert!(stream.get_ref().is_none(), "the stream has been dropped");
    assert_eq!(stream.size_hint(), (0, Some(0)));
    (items, limit, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn within_its_limits_nothing_happens() {
    let limits = StreamLimits::new().total(ms(100)).first_item(ms(20)).idle(ms(10));
    assert_eq!(run(paced([(19, 1), (9, 2), (9, 3)]).limits(limits)).await, (3, None, ms(37)));
    assert_eq!(run(paced([(500, 1)]).limits(StreamLimits::new())).await, (1, None, ms(500)));
}

#[tokio::test(start_paused = true)]
async fn a_stall_before_the_first_item() {
    let limits = StreamLimits::new().first_item(ms(20)).idle(ms(5));
    let expected = (0, Some(Limit::FirstItem), ms(20));
    assert_eq!(
        run(paced([(30, 1)]).limits(limits)).await,
        expected,
        "the idle limit does not apply to the first item"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stall_between_items() {
    let limits = StreamLimits::new().first_item(ms(20)).idle(ms(30));
    assert_eq!(run(paced([(10, 1), (29, 2), (31, 3)]).limits(limits)).await, (2, Some(Limit::Idle), ms(69)));
}

#[tokio::test(start_paused = true)]
async fn silence_after_the_last_item_is_a_stall() {
    let stalled = paced([(1, 1)]).chain(stream::pending());
    assert_eq!(run(stalled.limits(StreamLimits::new().idle(ms(30)))).await, (1, Some(Limit::Idle), ms(31)));
}

#[tokio::test(start_paused = true)]
async fn idle_alone_covers_the_first_item() {
    let limits = StreamLimits::new().idle(ms(5));
    assert_eq!(run(paced([(6, 1)]).limits(limits)).await, (0, Some(Limit::Idle), ms(5)));
}

#[tokio::test(start_paused = true)]
async fn first_item_alone_leaves_the_rest_unlimited() {
    let limits = StreamLimits::new().first_item(ms(5));
    assert_eq!(run(paced([(4, 1), (10_000, 2)]).limits(limits)).await, (2, None, ms(10_004)));
}

#[tokio::test(start_paused = true)]
async fn total_and_deadline_end_a_busy_stream() {
    let busy = || paced((0..100).map(|n| (3, n)));
    let total = StreamLimits::new().total(ms(10)).idle(ms(5));
    assert_eq!(run(busy().limits(total)).await, (3, Some(Limit::Total), ms(10)));
    let deadline = StreamLimits::new().total(ms(20)).deadline(Deadline::after(ms(10)));
    assert_eq!(run(busy().limits(deadline)).await, (3, Some(Limit::Deadline), ms(10)));
    let both = StreamLimits::new().total(ms(10)).deadline(Deadline::after(ms(20)));
    assert_eq!(run(busy().limits(both)).await, (3, Some(Limit::Total), ms(10)));
}

#[tokio::test(start_paused = true)]
async fn total_cuts_a_stream_that_is_always_ready() {
    let mut stream = pin!(stream::repeat(1).limits(StreamLimits::new().total(ms(10))));
    for _ in 0..10 {
        assert!(stream.next().await.unwrap().is_ok());
        advance(ms(1)).await;
    }
    assert_eq!(stream.next().await.unwrap().unwrap_err().limit(), Limit::Total);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_the_past_gives_what_is_ready_at_once() {
    let limits = StreamLimits::new().deadline(Instant::now());
    let ready = stream::iter([1, 2]).limits(limits);
    assert_eq!(run(ready).await, (1, Some(Limit::Deadline), ms(0)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_not_the_stream_s_silence() {
    let mut stream = pin!(paced([(1, 1), (8, 2)]).limits(StreamLimits::new().idle(ms(10))));
    assert_eq!(stream.next().await, Some(Ok(1)));
    advance(ms(1_000)).await;
    assert_eq!(stream.next().await, Some(Ok(2)));
    advance(ms(1_000)).await;
    assert_eq!(stream.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn comments_restart_idle_but_do_not_count_as_the_first_item() {
    let counts = |text: &&str| if *text == ":" { Counts::Activity } else { Counts::Item };
    let limits = StreamLimits::new().first_item(ms(50)).idle(ms(10));
    let comments = || (0..20).map(|_| (8, ":"));

    let dead = paced(comments()).limits(limits).counting(counts);
    assert_eq!(run(dead).await, (6, Some(Limit::FirstItem), ms(50)));

    let slow =
        paced([(1, "a")].into_iter().chain(comments()).chain([(8, "b")])).limits(limits).counting(counts);
    assert_eq!(run(slow).await, (22, None, ms(169)));

    let stalled = paced([(1, "a"), (8, ":"), (11, "b")]).limits(limits).counting(counts);
    assert_eq!(run(stalled).await, (2, Some(Limit::Idle), ms(19)));
}

#[tokio::test(start_paused = true)]
async fn items_that_count_for_nothing_restart_nothing() {
    let counts = |item: &i32| if *item == 0 { Counts::Nothing } else { Counts::Item };
    let limits = StreamLimits::new().idle(ms(10));
    let stream = paced([(1, 1), (4, 0), (4, 0), (4, 0)]).limits(limits).counting(counts);
    assert_eq!(run(stream).await, (3, Some(Limit::Idle), ms(11)));
}

#[tokio::test(start_paused = true)]
async fn the_longest_limits_never_fire() {
    let max = Duration::MAX;
    let limits = StreamLimits::new().total(max).first_item(max).idle(max);
    assert_eq!(run(paced([(5, 1), (5, 2)]).limits(limits)).await, (2, None, ms(10)));
}

#[tokio::test(start_paused = true)]
async fn dropping_next_loses_no_item_and_no_limit() {
    let mut stream = pin!(paced([(10, 1), (10, 2)]).limits(StreamLimits::new().idle(ms(15))));
    let started = Instant::now();
    for _ in 0..4 {
        assert!(tokio::time::timeout(ms(2), stream.next()).await.is_err());
    }
    assert_eq!(stream.next().await, Some(Ok(1)));
    assert_eq!(started.elapsed(), ms(10));
    assert_eq!(stream.next().await, Some(Ok(2)));
}

#[test]
fn ready_items_need_no_runtime_where_only_waits_are_limited() {
    let limits = StreamLimits::new().first_item(ms(1)).idle(ms(1));
    let limited = stream::iter([1, 2]).limits(limits);
    assert_eq!(limited.size_hint(), (0, Some(3)));
    let items: Vec<_> = limited.collect().now_or_never().expect("all ready");
    assert_eq!(items, [Ok(1), Ok(2)]);
    assert!(stream::iter([1]).limits(limits).into_inner().is_some());
    let mut pinned = pin!(stream::iter([1]).limits(limits));
    assert!(pinned.as_mut().get_pin_mut().is_some());
    assert!(format!("{pinned:?}").contains("first_item"));
}
