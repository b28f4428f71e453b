//! How work ends: answered, failed, tried again; and how what it ended with is read.

use std::{collections::BTreeSet, sync::Arc};

use outbound::work::{Answer, Counts, End};

use super::{TTL, Tested, claim, claim_one, counts, fail, finish, push, release, send, take_one, work};

async fn failed(store: &impl Tested) -> usize {
    store.counts().await.expect("works").failed
}

async fn retry(store: &impl Tested) -> usize {
    store.retry_failed().await.expect("works")
}

async fn answers(store: &impl Tested) -> Vec<Answer> {
    store.answers(None, 1000).await.expect("works")
}

pub(super) async fn failures_are_told_from_answers(store: impl Tested) {
    push(&store, 0..3).await;
    let leases = claim(&store, 3).await;
    assert!(
        send(&store, &leases[0]).await && fail(&store, &leases[0]).await && finish(&store, &leases[1]).await
    );
    let expected = Counts { claimed: 1, done: 2, failed: 1, ..Counts::default() };
    assert_eq!(store.counts().await.expect("works"), expected);
    let found = answers(&store).await;
    assert_eq!(
        found.iter().map(|one| (&*one.id, one.failed)).collect::<Vec<_>>(),
        [("0", true), ("1", false)]
    );
    assert_eq!(found[0].bytes, "no answer to 0");
    // It has ended, as if it had an answer.
    assert!(!fail(&store, &leases[0]).await && !finish(&store, &leases[0]).await);
    assert!(!send(&store, &leases[0]).await && !release(&store, &leases[0], false).await);
    store.advance(TTL * 2).await;
    assert_eq!(store.rescue().await.expect("works"), 1);
    assert_eq!(&*take_one(&store).await.id, "2");
    store.exported(&["0".into(), "1".into()]).await.expect("works");
    let expected = Counts { claimed: 1, exported: 2, failed: 1, ..Counts::default() };
    assert_eq!(store.counts().await.expect("works"), expected);
    assert!(answers(&store).await.is_empty());
}

pub(super) async fn failed_work_is_tried_again(store: impl Tested) {
    assert_eq!(retry(&store).await, 0);
    push(&store, 0..6).await;
    let leases = claim(&store, 5).await;
    // 1 and 4 fail, and 4 is exported; 2 and 3 are answered, and 3 is exported; 0 stays claimed.
    assert!(send(&store, &leases[1]).await && fail(&store, &leases[1]).await);
    assert!(finish(&store, &leases[2]).await && finish(&store, &leases[3]).await);
    assert!(send(&store, &leases[4]).await && release(&store, &leases[4], true).await);
    tokio::time::sleep(store.looks()).await;
    let again = take_one(&store).await;
    assert!(again.may_have_been_sent && fail(&store, &again).await);
    store.exported(&["3".into(), "4".into()]).await.expect("works");
    assert_eq!((counts(&store).await, failed(&store).await), ([1, 0, 1, 2, 2], 2));
    assert_eq!(retry(&store).await, 2);
    assert_eq!((counts(&store).await, failed(&store).await), ([3, 0, 1, 1, 1], 0));
    assert_eq!(retry(&store).await, 0);
    // Only the answer is there, and old leases are over.
    assert_eq!(answers(&store).await.iter().map(|one| &*one.id).collect::<Vec<_>>(), ["2"]);
    assert!(!finish(&store, &again).await && !release(&store, &leases[1], false).await);
    // Each has its place and its payload, and counts as not sent.
    tokio::time::sleep(store.looks()).await;
    let leases = claim(&store, 9).await;
    let seen: Vec<_> = leases
        .iter()
        .map(|lease| (&*lease.id, lease.deliveries, lease.may_have_been_sent, lease.payload.clone()))
        .collect();
    let expected = |id, deliveries| (id, deliveries, false, format!("payload {id}").into());
    assert_eq!(seen, [expected("1", 2), expected("4", 3), expected("5", 1)]);
    assert!(finish(&store, &leases[0]).await && fail(&store, &leases[1]).await);
    assert_eq!((counts(&store).await, failed(&store).await), ([0, 0, 2, 3, 1], 1));
    // And a third time, in one call with an answer, twice in it.
    assert_eq!(retry(&store).await, 1);
    let lease = claim_one(&store).await;
    let ends = [(&lease, End::Failed("first".into())), (&lease, "second".into()), (&leases[2], "5".into())];
    let held = store.finish(&ends).await.expect("works");
    assert_eq!(held.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let found = answers(&store).await;
    let four = found.iter().find(|one| &*one.id == "4").expect("it ended");
    assert!(four.failed && four.bytes == "first");
}

/// A reader goes through all answers, page by page, and nothing is marked.
pub(super) async fn answers_come_in_pages(store: impl Tested) {
    push(&store, 0..25).await;
    let leases = claim(&store, 25).await;
    let ends: Vec<_> = leases
        .iter()
        .enumerate()
        .filter(|(number, _)| number % 6 != 5)
        .map(|(number, lease)| {
            let bytes = lease.id.to_string().into();
            (lease, if number % 3 == 0 { End::Failed(bytes) } else { End::Answered(bytes) })
        })
        .collect();
    store.finish(&ends).await.expect("works");
    let exported: Vec<Arc<str>> = vec!["1".into(), "6".into(), "7".into()];
    store.exported(&exported).await.expect("works");
    let expected: Vec<_> = (0..25_u32)
        .filter(|id| id % 6 != 5 && ![1, 6, 7].contains(id))
        .map(|id| (id.to_string(), id % 3 == 0))
        .collect();
    for most in [1, 4, 18, 100] {
        let (mut after, mut found) = (None, Vec::new());
        for _ in 0..100 {
            let page = store.answers(after, most).await.expect("works");
            assert!(page.len() <= most);
            let Some(last) = page.last() else { break };
            after = Some(last.position);
            found.extend(page);
        }
        assert!(found.iter().all(|one| one.bytes == one.id.as_bytes()));
        assert!(found.is_sorted_by(|one, next| one.position < next.position));
        assert_eq!(found.iter().map(|one| (one.id.to_string(), one.failed)).collect::<Vec<_>>(), expected);
    }
    assert!(store.answers(Some(u64::MAX), 9).await.expect("works").is_empty());
    assert!(store.answers(None, 0).await.expect("works").is_empty());
    // What is added meanwhile comes behind.
    let last = answers(&store).await.last().expect("one").position;
    store.push(work(30..32)).await.expect("works");
    let new = claim(&store, 2).await;
    assert!(finish(&store, &new[1]).await);
    let behind = store.answers(Some(last), 9).await.expect("works");
    assert_eq!(behind.iter().map(|one| &*one.id).collect::<Vec<_>>(), ["31"]);
    let distinct: BTreeSet<_> = answers(&store).await.iter().map(|one| one.position).collect();
    assert_eq!(distinct.len(), expected.len() + 1);
}
