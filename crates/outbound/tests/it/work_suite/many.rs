//! Calls that are dropped, and many holders at once.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use bytes::Bytes;
use outbound::work::{Ambiguous, Pushed};
use tokio::{task::JoinSet, time};

use super::{TTL, Tested, answered, claim, counts, push, work};

pub(super) async fn dropped_calls_leave_nothing_half_done(store: impl Tested) {
    async fn begin<F: Future>(future: F) {
        let mut future = pin!(future);
        for _ in 0..3 {
            if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                return;
            }
        }
    }
    begin(store.push(work(0..50))).await;
    let pushed = store.push(work(0..50)).await.expect("works");
    assert!(pushed.iter().all(|pushed| *pushed != Pushed::Done));
    begin(store.claim(10, TTL, Ambiguous::Leave)).await;
    store.advance(TTL).await;
    assert_eq!(claim(&store, 100).await.len(), 50, "what a dropped claim took comes back");
    store.advance(TTL).await;
    let leases = claim(&store, 100).await;
    assert_eq!(leases.len(), 50);
    let all: Vec<_> = leases.iter().collect();
    begin(store.sent(&all)).await;
    assert!(store.sent(&all).await.expect("works").iter().all(Result::is_ok));
    let answers: Vec<_> = leases.iter().map(|lease| (lease, answered(&lease.id))).collect();
    begin(store.finish(&answers)).await;
    let _ = store.finish(&answers).await.expect("works");
    assert_eq!(counts(&store).await, [0, 0, 0, 50, 0]);
    let ids: Vec<_> = leases.iter().map(|lease| lease.id.clone()).collect();
    begin(store.exported(&ids)).await;
    store.exported(&ids).await.expect("works");
    assert_eq!(counts(&store).await, [0, 0, 0, 0, 50]);
}

/// 32 tasks that die, stall, are refused and come late: each piece of work has one answer.
pub(crate) async fn many_holders<S: Tested + Clone + 'static>(store: S) {
    push(&store, 0..400).await;
    let accepted = Arc::new(Mutex::new(BTreeMap::<String, Bytes>::new()));
    let mut tasks = JoinSet::new();
    for task in 0..32_u64 {
        let (store, accepted) = (store.clone(), accepted.clone());
        tasks.spawn(async move {
            for round in 0.. {
                let leases = store.claim(3, S::MOMENT * 20, Ambiguous::Take).await.expect("works");
                if leases.is_empty() && store.counts().await.expect("works").done == 400 {
                    return;
                }
                assert!(round < 20_000, "it goes on for ever");
                for lease in leases {
                    match (task * 7 + lease.number) % 11 {
                        // Dies without notice, before or after it has sent.
                        0 => {}
                        1 => drop(store.sent(&[&lease]).await.expect("works")),
                        2 => drop(store.release(&[&lease], false).await.expect("works")),
                        late => {
                            if store.sent(&[&lease]).await.expect("works")[0].is_err() {
                                continue;
                            }
                            if late == 3 {
                                time::sleep(S::MOMENT * 30).await;
                            }
                            let own = Bytes::from(format!("{} by {}", lease.id, lease.number));
                            if store.finish(&[(&lease, own.clone().into())]).await.expect("works")[0].is_ok()
                            {
                                let before =
                                    accepted.lock().expect("no panic").insert(lease.id.to_string(), own);
                                assert_eq!(before, None, "one answer was taken before");
                            }
                        }
                    }
                }
                time::sleep(S::MOMENT).await;
            }
        });
    }
    tasks.join_all().await;
    let answers = store.answers(None, 1000).await.expect("works");
    let answers: BTreeMap<_, _> = answers.into_iter().map(|one| (one.id.to_string(), one.bytes)).collect();
    assert_eq!(answers, *accepted.lock().expect("no panic"));
    assert_eq!(answers.len(), 400);
}
