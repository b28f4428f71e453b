//! What is claimed first: priorities, and how they age.

use std::time::Duration;

use outbound::work::{Pushed, Work};

use super::{TTL, Tested, claim, claim_one, fail, release};

async fn push_with(store: &impl Tested, work: &[(&str, i16)]) {
    let work = work.iter().map(|(id, priority)| Work::new(*id, "").priority(*priority)).collect();
    let pushed = store.push(work).await.expect("works");
    assert!(pushed.iter().all(|pushed| *pushed == Pushed::New));
}

/// All that is ready, in the order in which it is claimed; released again.
async fn order(store: &impl Tested) -> Vec<String> {
    tokio::time::sleep(store.looks()).await;
    let leases = claim(store, 100).await;
    for lease in &leases {
        assert!(release(store, lease, false).await);
    }
    leases.iter().map(|lease| lease.id.to_string()).collect()
}

pub(super) async fn higher_priorities_go_first(store: impl Tested) {
    push_with(&store, &[("a", 0), ("b", 1), ("c", -1), ("d", 1), ("e", 0), ("f", i16::MAX), ("g", i16::MIN)])
        .await;
    assert_eq!(order(&store).await, ["f", "b", "d", "a", "e", "c", "g"]);
    push_with(&store, &[("h", 1), ("i", 0), ("j", 2)]).await;
    assert_eq!(order(&store).await, ["f", "j", "b", "d", "h", "a", "e", "i", "c", "g"]);
    // Pushed again with another priority: it keeps its place.
    let again = vec![Work::new("g", "").priority(9)];
    assert_eq!(store.push(again).await.expect("works"), [Pushed::Unfinished]);
    assert_eq!(order(&store).await.last().expect("ten"), "g");
    // Failed work keeps its place, too.
    tokio::time::sleep(store.looks()).await;
    let first = claim_one(&store).await;
    assert_eq!(&*first.id, "f");
    assert!(fail(&store, &first).await);
    assert_eq!(order(&store).await[0], "j");
    assert_eq!(store.retry_failed().await.expect("works"), 1);
    assert_eq!(order(&store).await[..2], ["f", "j"]);
}

pub(super) async fn waiting_counts_as_priority(store: impl Tested) {
    const AGEING: Duration = Duration::from_secs(30);
    push_with(&store, &[("waited", 0)]).await;
    store.advance(AGEING - store.margin()).await;
    push_with(&store, &[("soon", 1)]).await;
    assert_eq!(order(&store).await, ["soon", "waited"]);
    store.advance(store.margin() * 2).await;
    push_with(&store, &[("late", 1), ("later", 0), ("three higher", 3)]).await;
    assert_eq!(order(&store).await, ["three higher", "soon", "waited", "late", "later"]);
    // Nothing waits for ever behind higher priorities.
    for minute in 0..10 {
        store.advance(Duration::from_secs(60)).await;
        push_with(&store, &[(&format!("always {minute}"), 5)]).await;
    }
    let found = order(&store).await;
    let place = |id: &str| found.iter().position(|found| found == id).expect("it is ready");
    assert!(place("always 1") < place("later") && place("later") < place("always 2"), "{found:?}");
}

/// Work of a higher priority that comes later does not wait until all that was there is claimed.
pub(super) async fn what_comes_later_goes_first_soon(store: impl Tested) {
    let many: Vec<_> = (0..40).map(|id| (format!("{id:02}"), 0)).collect();
    push_with(&store, &many.iter().map(|(id, priority)| (&**id, *priority)).collect::<Vec<_>>()).await;
    let mut leases = claim(&store, 10).await;
    leases.extend(claim(&store, 10).await);
    assert!(leases.iter().map(|lease| &*lease.id).eq(many.iter().take(20).map(|(id, _)| &**id)));
    push_with(&store, &[("urgent", 1)]).await;
    assert!(release(&store, &leases[3], false).await);
    tokio::time::sleep(store.looks()).await;
    let next = claim(&store, 3).await;
    assert_eq!(next.iter().map(|lease| &*lease.id).collect::<Vec<_>>(), ["urgent", "03", "20"]);
    store.advance(TTL).await;
    tokio::time::sleep(store.looks()).await;
    assert_eq!(&*claim_one(&store).await.id, "urgent");
}
