//! Random schedules: limits on futures have the outcomes and instants of tokio's, and limits on streams those of plain
//! arithmetic.

use std::{pin::pin, time::Duration};

use futures::StreamExt;
use outbound_timeout::{StreamLimits, StreamTimeoutExt, timeout_at};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

/// A small generator, `SplitMix64`. With it 10^5 schedules take seconds.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

async fn inner(gaps: &[Duration]) {
    for gap in gaps {
        sleep(*gap).await;
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_at_fires_at_tokio_s_instants_in_100_000_random_schedules() {
    let mut draw = Draw(7);
    let mut fired = 0;
    for case in 0..100_000 {
        let gaps: Vec<_> =
            (0..draw.next(5)).map(|_| Duration::from_micros(draw.next(12_000) / 250 * 250)).collect();
        let offset = Duration::from_nanos(draw.next(30_000_000));
        let past = draw.next(20) == 0;
        let at = |now: Instant| if past { now - Duration::from_millis(1) } else { now + offset };

        let started = Instant::now();
        let theirs = tokio::time::timeout_at(at(started), inner(&gaps)).await.is_ok();
        let their_time = started.elapsed();

        let started = Instant::now();
        let ours = timeout_at(at(started), inner(&gaps)).await.is_ok();
        assert_eq!((ours, started.elapsed()), (theirs, their_time), "case {case}: {gaps:?}, {offset:?}");
        fired += usize::from(!ours);
    }
    assert!((20_000..80_000).contains(&fired), "both outcomes are common in the schedules: {fired}");
}

/// What limits on a stream must do, by plain arithmetic in whole milliseconds.
fn model(gaps: &[u64], total: Option<u64>, first: Option<u64>, idle: Option<u64>) -> (usize, u64, bool) {
    let mut now = 0;
    for (index, gap) in gaps.iter().enumerate() {
        let wait = if index == 0 { first.or(idle) } else { idle };
        let limit = [wait.map(|wait| now + wait), total].into_iter().flatten().min();
        if let Some(limit) = limit.filter(|limit| *limit < now + gap) {
            return (index, limit, true);
        }
        now += gap;
        // Where the total ends at the instant at which an item comes, the item is given, and the next poll ends.
        if total == Some(now) {
            return (index + 1, now, true);
        }
    }
    (gaps.len(), now, false)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stream_limits_agree_with_arithmetic(
        gaps in proptest::collection::vec(1..40u64, 0..8),
        total in proptest::option::of(1..120u64),
        first in proptest::option::of(1..40u64),
        idle in proptest::option::of(1..40u64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let outcome = runtime.block_on(async {
            let mut limits = StreamLimits::new();
            if let Some(total) = total { limits = limits.total(Duration::from_millis(total)); }
            if let Some(first) = first { limits = limits.first_item(Duration::from_millis(first)); }
            if let Some(idle) = idle { limits = limits.idle(Duration::from_millis(idle)); }
            let paced = futures::stream::unfold(gaps.iter(), |mut gaps| async move {
                sleep(Duration::from_millis(*gaps.next()?)).await;
                Some(((), gaps))
            });
            let started = Instant::now();
            let mut limited = pin!(paced.limits(limits));
            let (mut items, mut cut) = (0, false);
            while let Some(next) = limited.next().await {
                match next {
                    Ok(()) => items += 1,
                    Err(_) => cut = true,
                }
            }
            (items, started.elapsed().as_millis() as u64, cut)
        });
        prop_assert_eq!(outcome, model(&gaps, total, first, idle));
    }
}
