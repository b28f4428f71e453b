//! The store in a folder: restarts, garbage, full disks, journals of other origin.

use std::{error::Error, sync::Arc, time::Duration};

use futures::future::join_all;
use outbound::work::{Ambiguous, Counts, FolderWork, Pushed, Work, WorkStore};
use outbound_journal::{Fsync, Journal, Memory, Records};
use tokio::time;

use super::{
    in_memory,
    suite::{answered, work},
};

const TTL: Duration = Duration::from_secs(60);

fn bytes(memory: &Memory) -> usize {
    memory.segments().iter().map(|(_, bytes)| bytes.len()).sum()
}

fn futures_are_send(store: &FolderWork) {
    fn send<T: Send>(_: T) {}
    send(store.push(Vec::new()));
    send(store.claim(1, TTL, Ambiguous::Take));
    send(store.finish(&[]));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_there_are_three_outcomes_and_no_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = FolderWork::open(folder.path()).expect("opens");
    futures_are_send(&store);
    store.push(work(0..4)).await.expect("works");
    let leases = store.claim(3, TTL, Ambiguous::Leave).await.expect("works");
    store.sent(&[&leases[1], &leases[2]]).await.expect("works");
    store.finish(&[(&leases[2], answered("2"))]).await.expect("works");
    let second = FolderWork::open(folder.path()).expect_err("one at a time");
    assert!(second.source().expect("why").to_string().contains("another writer"), "{second}");
    drop(store);

    let store = FolderWork::open(folder.path()).expect("opens");
    let expected = Counts { ready: 2, ambiguous: 1, claimed: 0, done: 1, exported: 0, failed: 0 };
    assert_eq!(store.counts().await.expect("works"), expected);
    let again = store.claim(9, TTL, Ambiguous::Leave).await.expect("works");
    let seen: Vec<_> = again.iter().map(|lease| (&*lease.id, lease.deliveries)).collect();
    assert_eq!(seen, [("0", 2), ("3", 1)]);
    let perhaps = store.claim(9, TTL, Ambiguous::Take).await.expect("works");
    assert!(perhaps.len() == 1 && perhaps[0].may_have_been_sent);
    // A lease from before the restart is stale after it, and no number comes twice.
    assert!(store.finish(&[(&leases[0], answered("0"))]).await.expect("works")[0].is_err());
    assert!(again.iter().all(|lease| lease.number > leases[2].number));
}

#[tokio::test(start_paused = true)]
async fn garbage_is_dropped() {
    let memory = Memory::new();
    let store = in_memory(&memory);
    let mut most = 0;
    store.push(vec![Work::new("stays", vec![7; 100_000])]).await.expect("works");
    let stays = store.claim(1, TTL, Ambiguous::Leave).await.expect("works").remove(0);
    store.sent(&[&stays]).await.expect("works");
    for round in 0..200 {
        let ids: Vec<Arc<str>> = (0..10).map(|number| format!("{round} {number}").into()).collect();
        let payloads = ids.iter().map(|id| Work::new(id.clone(), vec![1; 2048])).collect();
        store.push(payloads).await.expect("works");
        let leases = store.claim(10, TTL, Ambiguous::Leave).await.expect("works");
        assert_eq!(leases.len(), 10);
        let answers: Vec<_> = leases.iter().map(|lease| (lease, vec![2; 2048].into())).collect();
        store.finish(&answers).await.expect("works");
        store.exported(&ids).await.expect("works");
        most = most.max(bytes(&memory));
    }
    // 8 MiB were written. A journal under a megabyte is not rewritten, half of it may be garbage, and ids stay.
    assert!(most < (1 << 20) + 2 * (100_000 + 2000 * 60) + 100_000, "{most}");
    // The lease stays held, and its number and state survive.
    let left = in_memory(&memory.after_power_loss());
    let expected = Counts { ready: 0, ambiguous: 1, claimed: 0, done: 0, exported: 2000, failed: 0 };
    assert_eq!(left.counts().await.expect("works"), expected);
    let again = left.claim(1, TTL, Ambiguous::Take).await.expect("works").remove(0);
    assert_eq!(
        (again.payload, again.deliveries, again.may_have_been_sent),
        (vec![7; 100_000].into(), 2, true)
    );
    assert!(store.finish(&[(&stays, "done".into())]).await.expect("works")[0].is_ok());
    let number = stays.number;
    drop(store);
    let store = in_memory(&memory);
    assert_eq!(store.answers(None, 9).await.expect("works")[0].bytes, "done");
    assert_eq!(store.push(vec![Work::new("0 0", "again")]).await.expect("works"), [Pushed::Done]);
    store.push(vec![Work::new("new", "")]).await.expect("works");
    let next = store.claim(1, TTL, Ambiguous::Leave).await.expect("works").remove(0);
    assert!(next.number > number + 1999);
}

#[tokio::test(start_paused = true)]
async fn no_number_comes_twice_even_right_after_a_rewrite() {
    let memory = Memory::new();
    let store = in_memory(&memory);
    store.push(work(0..10)).await.expect("works");
    let mut last = 0;
    let rewritten = async {
        for _ in 0..10_000 {
            let before = bytes(&memory);
            let leases = store.claim(10, TTL, Ambiguous::Leave).await.expect("works");
            last = leases[9].number;
            store.release(&leases.iter().collect::<Vec<_>>(), false).await.expect("works");
            if bytes(&memory) < before / 2 {
                return true;
            }
        }
        false
    };
    assert!(rewritten.await);
    let left = in_memory(&memory.after_power_loss());
    let lease = left.claim(1, TTL, Ambiguous::Leave).await.expect("works").remove(0);
    assert!(lease.number > last, "{} {last}", lease.number);
}

#[tokio::test(start_paused = true)]
async fn claims_that_come_to_nothing_do_not_fill_the_disk() {
    let memory = Memory::new();
    let store = in_memory(&memory);
    store.push(work(0..10)).await.expect("works");
    for _ in 0..5000 {
        let leases = store.claim(10, TTL, Ambiguous::Leave).await.expect("works");
        let leases: Vec<_> = leases.iter().collect();
        store.release(&leases, false).await.expect("works");
    }
    assert!(bytes(&memory) < 5 << 19, "{}", bytes(&memory));
    let lease = store.claim(1, TTL, Ambiguous::Leave).await.expect("works").remove(0);
    assert_eq!(lease.deliveries, 5001);
}

#[tokio::test(start_paused = true)]
async fn work_is_claimed_before_its_push_is_durable() {
    let memory = Memory::new();
    let late = Fsync::Batch(Duration::from_millis(200));
    let journal = Journal::builder().fsync(late).open_memory(&memory).expect("opens");
    let store = FolderWork::on(journal).expect("holds work");
    let mut push = std::pin::pin!(store.push(work(0..3)));
    assert!(futures::poll!(push.as_mut()).is_pending());
    assert_eq!(bytes(&memory.after_power_loss()), 0);
    let leases = store.claim(9, TTL, Ambiguous::Leave).await.expect("works");
    assert!(leases.iter().map(|lease| &lease.payload[..]).eq([b"payload 0", b"payload 1", b"payload 2"]));
    assert_eq!(push.await.expect("works"), [Pushed::New; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_damaged_is_an_error() {
    let memory = Memory::new();
    let store = in_memory(&memory);
    store.push(work(0..1)).await.expect("works");
    let (number, mut bytes) = memory.segments().remove(0);
    let at = bytes.windows(7).position(|window| window == b"payload").expect("it is there");
    bytes[at] ^= 1;
    memory.set_segment(number, bytes);
    let error = store.claim(1, TTL, Ambiguous::Leave).await.expect_err("damaged");
    assert!(error.source().expect("why").to_string().contains("damaged at byte"), "{error:?}");
}

#[tokio::test]
async fn calls_that_come_together_share_a_sync() {
    let memory = Memory::new();
    let batch = Fsync::Batch(Duration::from_millis(20));
    let journal = Journal::builder().fsync(batch).open_memory(&memory).expect("opens");
    let store = FolderWork::on(journal).expect("holds work");
    for round in 0..10_u32 {
        let before = memory.syncs();
        let calls = (0..256).map(|number| store.push(work([round * 256 + number])));
        for pushed in join_all(calls).await {
            assert_eq!(pushed.expect("works"), [Pushed::New]);
        }
        assert!(memory.syncs() - before <= 3, "{}", memory.syncs() - before);
        let left = in_memory(&memory.after_power_loss());
        assert_eq!(left.counts().await.expect("works").ready, (round as usize + 1) * 256);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_fails_calls_and_loses_nothing() {
    for room in (0..2000).step_by(61) {
        let memory = Memory::new();
        let store = in_memory(&memory);
        store.push(work(0..20)).await.expect("works");
        let leases = store.claim(20, TTL, Ambiguous::Leave).await.expect("works");
        memory.set_room(Some(room));
        let mut finished = 0;
        for lease in &leases {
            match store.finish(&[(lease, vec![1; 100].into())]).await {
                Ok(held) => assert!(held[0].is_ok()),
                Err(error) => {
                    assert_eq!(error.to_string(), "the store of work failed");
                    assert!(error.source().expect("why").to_string().contains("failed write"));
                    break;
                }
            }
            finished += 1;
        }
        assert!(finished < 20);
        assert!(store.answers(None, 100).await.is_err(), "nobody knows which of them are durable");
        assert!(store.push(work(30..31)).await.is_err());
        drop(store);
        memory.set_room(None);
        let counts = in_memory(&memory).counts().await.expect("works");
        assert!(counts.done == finished || counts.done == finished + 1, "{counts:?} {finished}");
        assert_eq!(counts.done + counts.ready, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_an_error_and_the_store_goes_on() {
    let memory = Memory::new();
    let journal = Journal::builder().max_record(1000).open_memory(&memory).expect("opens");
    let store = FolderWork::on(journal).expect("holds work");
    let large = vec![Work::new("a", ""), Work::new("b", vec![1; 1000]), Work::new("c", "")];
    let error = store.push(large).await.expect_err("too large");
    assert!(error.source().expect("why").to_string().contains("limit of 1000 bytes"));
    let lease = store.claim(9, TTL, Ambiguous::Leave).await.expect("works").remove(0);
    assert!(store.finish(&[(&lease, vec![1; 1000].into())]).await.is_err());
    // The largest answer that fits into a record also fits into a rewritten journal.
    let mut most = 1000;
    while store.finish(&[(&lease, vec![1; most].into())]).await.is_err() {
        most -= 1;
    }
    assert_eq!(
        store.push(vec![Work::new("a", ""), Work::new("b", "")]).await.expect("works"),
        [Pushed::Done, Pushed::New]
    );
    for round in 0..1500 {
        let id: Arc<str> = format!("{round}").into();
        store.push(vec![Work::new(id.clone(), vec![1; 900])]).await.expect("works");
        let leases = store.claim(9, TTL, Ambiguous::Leave).await.expect("works");
        let answers: Vec<_> = leases.iter().map(|lease| (lease, vec![1; 900].into())).collect();
        store.finish(&answers).await.expect("works");
        store.exported(&[id]).await.expect("works");
    }
    // Three mebibytes were written.
    assert!(bytes(&memory) < 3 << 19, "{} of {most}", bytes(&memory));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_dropped_during_a_rewrite_costs_nothing() {
    for polls in 1..4 {
        let memory = Memory::new();
        let store = in_memory(&memory);
        let ids: Vec<Arc<str>> = (0..30).map(|id| id.to_string().into()).collect();
        let big = ids.iter().map(|id| Work::new(id.clone(), vec![1; 100_000])).collect();
        store.push(big).await.expect("works");
        let leases = store.claim(30, TTL, Ambiguous::Leave).await.expect("works");
        let answers: Vec<_> = leases.iter().map(|lease| (lease, answered(&lease.id))).collect();
        let before = bytes(&memory);
        {
            let mut call = std::pin::pin!(store.finish(&answers));
            for _ in 0..polls {
                if futures::poll!(call.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // The next call waits for it.
        store.push(work(100..101)).await.expect("works");
        assert!(bytes(&memory) < before / 10, "it was rewritten");
        drop(store);
        // The thread that did it may hold the folder a moment longer.
        let opens = || Journal::builder().open_memory(&memory).ok();
        let journal = (0..10_000).find_map(|_| {
            std::thread::yield_now();
            opens()
        });
        let counts =
            FolderWork::on(journal.expect("opens")).expect("holds work").counts().await.expect("works");
        assert_eq!((counts.ready, counts.done), (1, 30));
    }
}

#[tokio::test]
async fn a_journal_of_something_else_is_refused_and_not_touched() {
    for records in [&[&b"hello"[..]][..], &[b""], &[b"Boutbound work 2\0\0\0\0\0\0\0\0"]] {
        let memory = Memory::new();
        let journal = Journal::builder().open_memory(&memory).expect("opens");
        records.iter().for_each(|record| assert!(journal.append(record).is_ok()));
        journal.close().expect("durable");
        let before = memory.segments();
        let error =
            FolderWork::on(Journal::builder().open_memory(&memory).expect("opens")).expect_err("refused");
        let why = error.source().expect("why").to_string();
        assert_eq!(why, "the record at 1:28 does not belong to a store of work");
        assert_eq!(memory.segments(), before);
    }
}

/// Each record is cut, extended, or left out. The result is an error or a valid store, and never a panic.
#[tokio::test(start_paused = true)]
async fn records_that_are_wrong_are_errors() {
    let memory = Memory::new();
    let store = in_memory(&memory);
    store.push(work(0..3)).await.expect("works");
    let leases = store.claim(3, TTL, Ambiguous::Leave).await.expect("works");
    store.sent(&[&leases[0], &leases[1]]).await.expect("works");
    store.release(&[&leases[1]], true).await.expect("works");
    store.finish(&[(&leases[0], answered("0"))]).await.expect("works");
    store.exported(std::slice::from_ref(&leases[0].id)).await.expect("works");
    drop(store);
    let records: Vec<_> =
        Records::read_memory(&memory).expect("lists").map(|record| record.expect("right").bytes).collect();
    assert!(records.len() > 10);
    let open = |records: &[Vec<u8>]| {
        let memory = Memory::new();
        let journal = Journal::builder().open_memory(&memory).expect("opens");
        records.iter().for_each(|record| assert!(journal.append(record).is_ok()));
        FolderWork::on(journal)
    };
    assert!(open(&records).is_ok());
    let mut refused = 0;
    for index in 0..records.len() {
        let mut without = records.clone();
        without.remove(index);
        refused += u32::from(open(&without).is_err());
        let mut twice = records.clone();
        twice.insert(index, records[index].clone());
        refused += u32::from(open(&twice).is_err());
        for length in 0..records[index].len() {
            let mut cut = records.clone();
            cut[index].truncate(length);
            refused += u32::from(open(&cut).is_err());
            let mut flipped = records.clone();
            flipped[index][length] ^= 0x80;
            refused += u32::from(open(&flipped).is_err());
        }
    }
    assert!(refused > 200, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn debug_prints_no_payload_and_no_answer() {
    let store = in_memory(&Memory::new());
    let pushed = Work::new("id", "canary");
    store.push(vec![pushed.clone()]).await.expect("works");
    let lease = store.claim(1, TTL, Ambiguous::Leave).await.expect("works").remove(0);
    store.finish(&[(&lease, "canary".into())]).await.expect("works");
    let answers = store.answers(None, 1).await.expect("works");
    time::advance(TTL).await;
    let printed = format!("{pushed:?} {lease:?} {answers:?} {store:?}");
    assert!(printed.contains("\"id\"") && !printed.contains("canary"), "{printed}");
}
