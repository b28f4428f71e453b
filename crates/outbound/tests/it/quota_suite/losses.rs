//! A clock that is set, writes that are lost, and a row that is lost.

use std::time::Duration;

use outbound::quota_store::Exchange;

use super::{HOUR, MEANWHILE, MINUTE, Tested, ask, assert_about, drain, exchange, fill, scope, tokens};

pub(super) async fn the_clock_may_be_set(store: impl Tested) {
    fill(&store).await;
    assert_about(drain(&store, 1, &scope()).await, 30_000);
    let mut holder = 1;
    for hours in [24, 1, 1_000] {
        // A step ahead brings one burst, and no more.
        store.advance(hours * HOUR).await;
        holder += 1;
        assert_about(drain(&store, holder, &scope()).await, 30_000);
    }
    for hours in [24, 1, 1_000] {
        exchange(&store, ask(90, hours.into()).pause(MINUTE)).await;
        if !store.set_back(hours * HOUR).await {
            return;
        }
        // A step back brings nothing, and stops nobody for long: a pause is believed for an hour.
        holder += 1;
        assert!(drain(&store, holder, &scope()).await <= MEANWHILE);
        let mut waited = Duration::ZERO;
        holder += 1;
        for seq in 1.. {
            let grant = exchange(&store, tokens(holder, seq, 100).used([0, 1])).await;
            if grant.granted[1] == 100 {
                break;
            }
            assert!(waited < HOUR + 10 * MINUTE, "it is never served");
            store.advance(grant.next_poll).await;
            waited += grant.next_poll;
        }
        store.advance(HOUR).await;
    }
}

pub(super) async fn lost_writes_are_the_only_overrun(store: impl Tested) {
    fill(&store).await;
    exchange(&store, ask(1, 1)).await;
    let known = exchange(&store, Exchange::new(1, 2)).await;
    if !store.save().await {
        return;
    }
    let lost: Vec<_> = [3, 4, 5].map(|seq| tokens(1, seq, 3_000)).into();
    for one in &lost {
        assert_eq!(exchange(&store, one.clone()).await.granted, [0, 3_000]);
    }
    store.put_back().await;
    assert_eq!(exchange(&store, Exchange::new(2, 1)).await.generation, known.generation);
    // What it was granted meanwhile is spent. It is counted as soon as that is reported.
    exchange(&store, Exchange::new(1, 6).used([20, 11_000])).await;
    let rest = drain(&store, 3, &scope()).await;
    assert_about(rest, 30_000 - 11_000);
    // Where it is not reported any more, that is the overrun.
    store.put_back().await;
    let rest = drain(&store, 4, &scope()).await;
    assert_about(rest, 28_000);
}

pub(super) async fn a_lost_row_begins_empty_with_another_generation(store: impl Tested) {
    fill(&store).await;
    let first = exchange(&store, ask(1, 1)).await;
    assert_eq!(first.granted, [20, 2_000]);
    if !store.save().await {
        return;
    }
    store.lose().await;
    // What is in hand goes on, and is a debt when it is reported.
    let lost = exchange(&store, ask(1, 2).used([20, 2_000])).await;
    assert_eq!(lost.granted, [0, 0]);
    assert_ne!(lost.generation, first.generation);
    store.advance(MINUTE).await;
    assert_eq!(exchange(&store, tokens(2, 1, 1)).await.granted, [0, 0]);
    exchange(&store, Exchange::new(2, 2)).await;
    exchange(&store, Exchange::new(1, 3)).await;
    store.advance(2 * MINUTE).await;
    assert_about(drain(&store, 3, &scope()).await, 1_000);
}
