//! Many handles at once, and many scopes.

use futures::future::join_all;
use outbound::quota_store::{Exchange, Scope};
use tokio::{task::JoinSet, time::Instant};

use super::{MINUTE, Tested, ask, fill, scope};

/// 32 handles ask at once, each of them everything twice.
pub(super) async fn many_handles_at_once(store: impl Tested) {
    fill(&store).await;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    // Any number is a holder.
    for holder in (1..=16).chain(u64::MAX - 15..=u64::MAX) {
        let store = store.clone();
        tasks.spawn(async move {
            let (left, right) = tokio::join!(store.another(), store.another());
            let handles = [left, right];
            let (mut sum, scope) = (0, scope());
            for seq in 1..=10 {
                let ask = Exchange::new(holder, seq).wanted([1, 300]).least([0, 1]);
                let (left, right) = tokio::join!(
                    handles[0].exchange(&scope, ask.clone()),
                    handles[1].exchange(&scope, ask.clone()),
                );
                let (left, right) = (left.expect("works"), right.expect("works"));
                assert_eq!(left.granted, right.granted, "it is done once");
                sum += left.granted[1];
            }
            sum
        });
    }
    let sum: u64 = tasks.join_all().await.into_iter().sum();
    assert!(sum <= 30_000 + 17 * (begun.elapsed().as_secs() + 2), "{sum}");
    // What is left is kept for who has waited longest.
    assert!(sum >= 29_600, "{sum}");
}

pub(super) async fn many_scopes(store: impl Tested) {
    let odd = ["", "a", "A", "a\nb", "../../a", "/", "ü 配额", "a b \\ \" ' %"].map(str::to_owned);
    let names: Vec<_> = (0..1_000).map(|number| format!("scope {number}")).chain(odd).collect();
    let scopes: Vec<_> = names.into_iter().map(|name| Scope { name, ..scope() }).collect();
    for (seq, expected) in [(1, [0, 0]), (2, [20, 2_000])] {
        // Some at once: what each of them gets is no matter of the others.
        for scopes in scopes.chunks(64) {
            let grants = join_all(scopes.iter().map(|scope| store.exchange(scope, ask(1, seq)))).await;
            for (scope, grant) in scopes.iter().zip(grants) {
                let grant = grant.expect("works");
                assert_eq!((&grant.granted[..], grant.holders), (&expected[..], 1), "{:?}", scope.name);
            }
        }
        // 2,000 tokens and 20 requests come for each.
        store.advance(2 * MINUTE + MINUTE / 60).await;
    }
}
