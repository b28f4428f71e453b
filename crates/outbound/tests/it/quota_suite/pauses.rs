//! A refusal pauses all, then one probes, then all go on.

use std::time::Duration;

use outbound::quota_store::Exchange;

use super::{HOUR, MINUTE, Tested, ask, exchange, fill, tokens};

pub(super) async fn a_refusal_pauses_all_then_one_probes_then_all_have_half(store: impl Tested) {
    let all = |holder, seq| Exchange::new(holder, seq).wanted([400, 40_000]).least([1, 100]);
    fill(&store).await;
    let refused = exchange(&store, ask(1, 1).pause(10 * MINUTE)).await;
    assert_eq!((&refused.granted[..], refused.pause), (&[0, 0][..], Some(10 * MINUTE)));
    // A shorter one that is heard later does not end it.
    store.advance(5 * MINUTE).await;
    let other = exchange(&store, ask(2, 1).pause(MINUTE)).await;
    let left = other.pause.expect("a pause");
    assert_eq!(other.granted, [0, 0]);
    assert!(left <= 5 * MINUTE + MINUTE / 60 && left >= 4 * MINUTE, "{left:?}");
    store.advance(4 * MINUTE).await;
    assert_eq!(exchange(&store, all(1, 2)).await.granted, [0, 0]);
    store.advance(MINUTE + MINUTE / 60).await;
    // One sends its first request. Nobody gets more before that succeeds.
    let probe = exchange(&store, all(2, 2)).await;
    assert_eq!((&probe.granted[..], probe.pause), (&[1, 100][..], None));
    let other = exchange(&store, ask(1, 3)).await;
    assert_eq!(other.granted, [0, 0]);
    // There is enough for all: it is a matter of the probe, and nobody knows how long that takes.
    assert_eq!((probe.next_poll, other.next_poll), (MINUTE / 60, MINUTE / 60));
    assert_eq!(exchange(&store, all(2, 3)).await.granted, [0, 0]);
    assert_eq!(
        exchange(&store, ask(1, 4).used([1, 0])).await.granted,
        [0, 0],
        "another's success is no answer"
    );
    assert_eq!(exchange(&store, all(2, 4).used([1, 100])).await.granted, [15, 1_500]);
    store.advance(MINUTE).await;
    assert_eq!(exchange(&store, all(2, 5)).await.granted, [30, 3_000]);
    // A pause that nobody would believe ends, too.
    exchange(&store, ask(1, 5).pause(Duration::MAX)).await;
    store.advance(HOUR + MINUTE).await;
    assert_eq!(exchange(&store, all(1, 6)).await.granted, [1, 100]);
    // The probe is refused.
    exchange(&store, ask(1, 7).pause(MINUTE)).await;
    assert_eq!(exchange(&store, all(2, 6)).await.granted, [0, 0]);
}

pub(super) async fn a_prober_that_dies_is_replaced(store: impl Tested) {
    fill(&store).await;
    exchange(&store, ask(1, 1).pause(MINUTE)).await;
    store.advance(MINUTE + MINUTE / 60).await;
    assert_eq!(exchange(&store, ask(1, 2)).await.granted, [1, 100]);
    assert_eq!(exchange(&store, ask(2, 1)).await.granted, [0, 0]);
    store.advance(3 * MINUTE).await;
    assert_eq!(exchange(&store, ask(2, 2)).await.granted, [1, 100]);
    assert_eq!(exchange(&store, ask(3, 1)).await.granted, [0, 0]);
    // It succeeds. The next prober has a whole chunk, for a minute: it is not waited for as long as that.
    exchange(&store, ask(2, 3).used([1, 100])).await;
    store.advance(MINUTE).await;
    assert_eq!(exchange(&store, tokens(4, 1, 3_000)).await.granted, [0, 3_000]);
    exchange(&store, ask(4, 2).pause(MINUTE / 10)).await;
    store.advance(MINUTE / 6).await;
    assert_eq!(exchange(&store, ask(4, 3)).await.granted, [1, 100]);
    assert_eq!(exchange(&store, ask(5, 1)).await.granted, [0, 0]);
    store.advance(MINUTE / 6).await;
    assert_eq!(exchange(&store, ask(5, 2)).await.granted, [1, 100]);
}
