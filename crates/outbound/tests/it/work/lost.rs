//! The last writes are lost: the journal is cut at each of its last bytes, and what was promised before is still true.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use outbound::work::{Ambiguous, End, FolderWork, Lease, Pushed, Work, WorkStore};
use outbound_journal::{Journal, Memory};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    in_memory,
    suite::{answer, answered, work},
};

const TTL: Duration = Duration::from_secs(600);

/// What a call had promised when it returned.
#[derive(Debug, Clone)]
enum Promise {
    Pushed(u32),
    Sent(String),
    Ended(String, bool),
    /// All that failed until then is ready, and counts as not sent.
    Retried(BTreeSet<String>),
    Exported(String),
}

fn one_segment(memory: &Memory) -> FolderWork {
    let journal = Journal::builder().segment_bytes(1 << 20).open_memory(memory).expect("opens");
    FolderWork::on(journal).expect("holds work")
}

fn bytes(memory: &Memory) -> Vec<u8> {
    let segments = memory.segments();
    assert!(segments.len() <= 1);
    segments.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default()
}

/// Makes random calls. Says what each had promised, and how long the journal was then.
async fn history(seed: u64) -> (Vec<u8>, Vec<(usize, Promise)>) {
    let mut random = StdRng::seed_from_u64(seed);
    let memory = Memory::new();
    let store = one_segment(&memory);
    let mut promises = Vec::new();
    let mut leases: Vec<Lease> = Vec::new();
    let (mut pushed, mut failed) = (0, BTreeSet::new());
    for _ in 0..60 {
        let mut made = Vec::new();
        let index = random.random_range(0..leases.len().max(1));
        match random.random_range(0..8) {
            0 | 1 => {
                store.push(work([pushed])).await.expect("works");
                made.push(Promise::Pushed(pushed));
                pushed += 1;
            }
            2 => leases.extend(store.claim(2, TTL, Ambiguous::Take).await.expect("works")),
            3 if !leases.is_empty() => {
                let lease = &leases[index];
                assert!(store.sent(&[lease]).await.expect("works")[0].is_ok());
                made.push(Promise::Sent(lease.id.to_string()));
            }
            4 | 5 if !leases.is_empty() => {
                let lease = leases.swap_remove(index);
                let fails = random.random();
                let end = if fails { End::Failed(answer(&lease.id)) } else { answered(&lease.id) };
                assert!(store.finish(&[(&lease, end)]).await.expect("works")[0].is_ok());
                if fails {
                    failed.insert(lease.id.to_string());
                }
                made.push(Promise::Ended(lease.id.to_string(), fails));
            }
            6 => {
                assert_eq!(store.retry_failed().await.expect("works"), failed.len());
                made.push(Promise::Retried(std::mem::take(&mut failed)));
            }
            7 => {
                let answers = store.answers(None, 1).await.expect("works");
                let ids: Vec<_> = answers.iter().map(|one| one.id.clone()).collect();
                store.exported(&ids).await.expect("works");
                made.extend(ids.iter().map(|id| Promise::Exported(id.to_string())));
            }
            _ => {}
        }
        let length = bytes(&memory).len();
        promises.extend(made.into_iter().map(|promise| (length, promise)));
    }
    drop(store);
    (bytes(&memory), promises)
}

#[derive(Debug, Default)]
struct Known {
    sent: bool,
    /// Whether it failed.
    ended: Option<bool>,
    exported: bool,
}

/// What has to be true if all of these promises are kept.
fn known<'a>(promises: impl Iterator<Item = &'a Promise>) -> BTreeMap<String, Known> {
    let mut all = BTreeMap::<String, Known>::new();
    for promise in promises {
        match promise {
            Promise::Pushed(id) => drop(all.insert(id.to_string(), Known::default())),
            Promise::Sent(id) => all.get_mut(id).expect("it was pushed").sent = true,
            Promise::Ended(id, failed) => all.get_mut(id).expect("it was pushed").ended = Some(*failed),
            Promise::Exported(id) => all.get_mut(id).expect("it was pushed").exported = true,
            Promise::Retried(ids) => {
                for id in ids {
                    all.insert(id.clone(), Known::default());
                }
            }
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn what_was_promised_before_the_cut_is_true() {
    let mut cuts = 0;
    for seed in 0..12 {
        let (journal, promises) = history(seed).await;
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..40 {
            let length = random.random_range(64..=journal.len());
            let memory = Memory::new();
            memory.set_segment(1, journal[..length].to_vec());
            let store = in_memory(&memory);
            let kept = known(promises.iter().filter(|(at, _)| *at <= length).map(|(_, promise)| promise));
            // The first call that is not promised any more may have been done, as a whole or in part.
            let next = promises.iter().find(|(at, _)| *at > length).map(|(_, promise)| promise.clone());
            let answers: BTreeMap<_, _> = store
                .answers(None, 1000)
                .await
                .expect("works")
                .into_iter()
                .map(|one| (one.id.to_string(), one))
                .collect();
            let again = kept.keys().map(|id| Work::new(&**id, format!("payload {id}"))).collect();
            let pushed = store.push(again).await.expect("works");
            let unsent = store.claim(1000, TTL, Ambiguous::Leave).await.expect("works");
            for ((id, known), pushed) in kept.iter().zip(pushed) {
                let perhaps = match &next {
                    Some(Promise::Retried(ids)) => ids.contains(id),
                    Some(Promise::Ended(other, _) | Promise::Exported(other)) => other == id,
                    _ => false,
                };
                if perhaps {
                    assert_ne!(pushed, Pushed::New);
                    continue;
                }
                let expected = if known.ended.is_some() { Pushed::Done } else { Pushed::Unfinished };
                assert_eq!(pushed, expected, "{id} {known:?}, {next:?}, seed {seed}, cut at {length}");
                let there = known.ended.filter(|_| !known.exported);
                assert_eq!(
                    answers.get(id).map(|one| one.failed),
                    there,
                    "{id}, seed {seed}, cut at {length}"
                );
                assert!(answers.get(id).is_none_or(|one| one.bytes == answer(id)));
                let is_unsent = unsent.iter().find(|lease| *lease.id == **id);
                if known.sent || known.ended.is_some() {
                    assert!(is_unsent.is_none(), "{id} {known:?}, seed {seed}, cut at {length}");
                }
                assert!(is_unsent.is_none_or(|lease| lease.payload == format!("payload {id}")));
            }
            cuts += 1;
        }
    }
    assert_eq!(cuts, 12 * 40);
}

/// What failed survives a journal that is rewritten, with its payload and with what it failed with.
#[tokio::test(start_paused = true)]
async fn failed_work_survives_a_rewrite() {
    let memory = Memory::new();
    let store = in_memory(&memory);
    store.push(work(0..5)).await.expect("works");
    let leases = store.claim(4, TTL, Ambiguous::Leave).await.expect("works");
    store.sent(&[&leases[1], &leases[3]]).await.expect("works");
    let ends = [
        (&leases[0], End::Failed(answer("0"))),
        (&leases[1], End::Failed(answer("1"))),
        (&leases[2], answered("2")),
    ];
    store.finish(&ends).await.expect("works");
    store.exported(&["1".into()]).await.expect("works");
    let length = || memory.segments().iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let mut rewritten = false;
    for round in 0..200 {
        let before = length();
        store.push(vec![Work::new(format!("big {round}"), vec![1; 100_000])]).await.expect("works");
        let big = store.claim(9, TTL, Ambiguous::Leave).await.expect("works");
        let ends: Vec<_> = big.iter().map(|lease| (lease, answered(&lease.id))).collect();
        store.finish(&ends[ends.len() - 1..]).await.expect("works");
        rewritten |= length() < before;
    }
    assert!(rewritten);
    let check = async |store: &FolderWork, claimed: bool| {
        let counts = store.counts().await.expect("works");
        assert_eq!((counts.failed, counts.exported, counts.claimed > 0), (2, 1, claimed));
        let answers = store.answers(None, 3).await.expect("works");
        assert_eq!(
            answers.iter().map(|one| (&*one.id, one.failed, one.bytes.clone())).take(2).collect::<Vec<_>>(),
            [("0", true, answer("0")), ("2", false, answer("2"))]
        );
    };
    check(&store, true).await;
    drop(store);
    let store = in_memory(&memory);
    check(&store, false).await;
    assert_eq!(store.retry_failed().await.expect("works"), 2);
    drop(store);
    let store = in_memory(&memory);
    let leases = store.claim(9, TTL, Ambiguous::Leave).await.expect("works");
    let seen: Vec<_> =
        leases.iter().map(|lease| (&*lease.id, lease.deliveries, lease.payload.clone())).collect();
    let expected = |id: u32, deliveries| (deliveries, bytes::Bytes::from(format!("payload {id}")));
    let (ids, rest): (Vec<_>, Vec<_>) =
        seen.into_iter().map(|(id, deliveries, payload)| (id, (deliveries, payload))).unzip();
    assert_eq!(ids, ["0", "1", "4"]);
    assert_eq!(rest[..2], [expected(0, 2), expected(1, 2)]);
}

/// The order of claiming survives a restart, and time goes on from the last push.
#[tokio::test(start_paused = true)]
async fn places_survive_a_restart() {
    let memory = Memory::new();
    let store = in_memory(&memory);
    let push = async |store: &FolderWork, id: &str, priority| {
        store.push(vec![Work::new(id, "").priority(priority)]).await.expect("works");
    };
    push(&store, "first", 0).await;
    tokio::time::advance(Duration::from_secs(50)).await;
    push(&store, "second", 1).await;
    push(&store, "last", -3).await;
    drop(store);
    // A day passes, and counts for nothing.
    tokio::time::advance(Duration::from_secs(86_400)).await;
    let store = in_memory(&memory);
    push(&store, "third", 1).await;
    push(&store, "soon", 2).await;
    push(&store, "normal", 0).await;
    let leases = store.claim(9, TTL, Ambiguous::Leave).await.expect("works");
    let ids: Vec<_> = leases.iter().map(|lease| &*lease.id).collect();
    assert_eq!(ids, ["soon", "first", "second", "third", "normal", "last"]);
}

/// Records from before there were priorities are read, and their work goes in order.
#[tokio::test(start_paused = true)]
async fn a_journal_without_places_is_read() {
    let memory = Memory::new();
    let journal = Journal::builder().open_memory(&memory).expect("opens");
    journal.append(b"Boutbound work 1\0\0\0\0\0\0\0\0").expect("is appended");
    for id in [b"a", b"b"] {
        let record = [&b"I\0\0\0\0\0\x01\0\0\0\0\0\0\0"[..], id, b"payload of ", id].concat();
        journal.append(&record).expect("is appended");
    }
    journal.close().expect("durable");
    let store = in_memory(&memory);
    store.push(vec![Work::new("c", ""), Work::new("b", "payload of b")]).await.expect("works");
    let leases = store.claim(9, TTL, Ambiguous::Leave).await.expect("works");
    let seen: Vec<_> = leases.iter().map(|lease| (&*lease.id, &lease.payload[..])).collect();
    assert_eq!(seen, [("a", &b"payload of a"[..]), ("b", b"payload of b"), ("c", b"")]);
}
