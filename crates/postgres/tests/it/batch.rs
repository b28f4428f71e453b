//! What only a database does with a batch: its seed, its health, its removal, who is told of its work, and who pushes at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use outbound::work::{Ambiguous, Counts, End, Pushed, Work, WorkStore};
use outbound_postgres::PostgresWork;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    database::{Schema, address},
    proxy::Proxy,
    trouble::{open_through, through},
};

const TTL: Duration = Duration::from_secs(60);

async fn push(store: &PostgresWork, ids: std::ops::Range<u32>) {
    let work = ids.map(|id| Work::new(id.to_string(), "payload")).collect();
    store.push(work).await.expect("is pushed");
}

/// Claims until nothing is there, and finishes all of it.
async fn finish_all(store: &PostgresWork) -> usize {
    let leases = store.claim(1_000, TTL, Ambiguous::Take).await.expect("claims");
    let ends: Vec<_> = leases.iter().map(|lease| (lease, End::from("answer"))).collect();
    store.finish(&ends).await.expect("finishes").iter().filter(|held| held.is_ok()).count()
}

/// Removes it as it is now.
async fn remove(store: PostgresWork) -> bool {
    let last = store.last_lease().await.expect("a number");
    store.remove(last).await.expect("works")
}

#[tokio::test]
async fn an_answer_that_nobody_has_read_is_not_removed() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let store = schema.builder().open().await.expect("opens");
    push(&store, 0..2).await;
    let lease = &store.claim(1, TTL, Ambiguous::Leave).await.expect("claims")[0];
    store.finish(&[(lease, End::Failed("why".into()))]).await.expect("finishes");
    assert_eq!(finish_all(&store).await, 1);
    let read = store.last_lease().await.expect("a number");
    // One is tried again, and has another answer.
    assert_eq!(store.retry_failed().await.expect("works"), 1);
    assert_eq!(finish_all(&store).await, 1);
    assert!(!store.clone().remove(read).await.expect("works"), "its answer was not read");
    assert!(remove(store).await);
}

#[tokio::test]
async fn a_batch_has_one_seed() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let open = async |name: &str| schema.builder().name(name).open().await.expect("opens");
    let (one, same, other) = (open("one").await, open("one").await, open("other").await);
    assert_eq!(one.seed(), same.seed());
    assert_ne!(one.seed(), other.seed());
    assert!(remove(one).await);
    assert_ne!(open("one").await.seed(), same.seed());
}

#[tokio::test]
async fn only_a_batch_that_is_done_is_removed() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let open = async |name: &str| schema.builder().name(name).open().await.expect("opens");
    let (store, other) = (open("one").await, open("other").await);
    push(&other, 0..3).await;
    assert_eq!(finish_all(&other).await, 3);
    push(&store, 0..3).await;
    assert!(!remove(store.clone()).await, "nothing is done");
    let leases = store.claim(3, TTL, Ambiguous::Leave).await.expect("claims");
    store
        .finish(&[(&leases[0], "answer".into()), (&leases[1], End::Failed("why".into()))])
        .await
        .expect("finishes");
    assert!(!remove(store.clone()).await, "one is claimed");
    assert_eq!(
        store.counts().await.expect("counts"),
        Counts { claimed: 1, done: 2, failed: 1, ..Counts::default() }
    );
    store.finish(&[(&leases[2], "answer".into())]).await.expect("finishes");
    store.exported(&["0".into()]).await.expect("works");
    assert!(remove(store.clone()).await);
    // The other one is as it was, and of this one there is nothing.
    assert_eq!(other.answers(None, 9).await.expect("answers").len(), 3);
    let client = schema.client().await;
    for table in ["batch", "body", "job", "answer"] {
        let left = client.query_one(&format!("select count(*) from {table}"), &[]).await.expect("counts");
        assert_eq!(left.get::<_, i64>(0), if table == "batch" { 1 } else { 3 }, "{table}");
    }
    // Who still has it cannot push into nothing.
    let error = store.push(vec![Work::new("late", "")]).await.expect_err("the batch is gone");
    assert!(format!("{error:?}").contains("foreign key"), "{error:?}");
    assert_eq!(store.retry_failed().await.expect("works"), 0);
    assert!(remove(store.clone()).await);
    assert_eq!(open("one").await.counts().await.expect("counts"), Counts::default());
}

/// Whatever comes first: work that was pushed is there, or its push failed.
#[tokio::test]
async fn a_removal_and_a_push_at_once_lose_nothing() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let mut removed = 0;
    for round in 0..20_u64 {
        let name = format!("round {round}");
        let store = schema.builder().name(&name).open().await.expect("opens");
        let other = schema.builder().name(&name).open().await.expect("opens");
        push(&store, 0..1).await;
        assert_eq!(finish_all(&store).await, 1);
        // Connections that are there make it close.
        other.counts().await.expect("counts");
        let pushed = async {
            sleep(Duration::from_millis(1 << (round % 10))).await;
            other.push(vec![Work::new("late", "")]).await
        };
        let last = store.last_lease().await.expect("a number");
        let (was_removed, pushed) = futures::future::join(store.remove(last), pushed).await;
        let was_removed = was_removed.expect("works");
        assert_eq!(was_removed, pushed.is_err(), "{pushed:?}");
        let after = schema.builder().name(&name).open().await.expect("opens").counts().await.expect("counts");
        assert_eq!(after.ready, usize::from(!was_removed));
        removed += u32::from(was_removed);
    }
    assert!(removed > 0);
}

#[tokio::test]
async fn health_shows_dead_rows_and_who_holds_them() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let store = schema.builder().open().await.expect("opens");
    let holder = schema.client().await;
    holder.batch_execute("begin isolation level repeatable read; select 1").await.expect("begins");
    holder.query("select count(*) from job", &[]).await.expect("has a snapshot");
    push(&store, 0..200).await;
    assert_eq!(finish_all(&store).await, 200);
    let mut health = store.health().await.expect("says");
    for _ in 0..60 {
        // Claimed and finished: two dead rows each.
        if health.dead_rows >= 400 && health.oldest_snapshot >= Duration::from_millis(500) {
            break;
        }
        sleep(Duration::from_millis(300)).await;
        health = store.health().await.expect("says");
    }
    holder.batch_execute("rollback").await.expect("ends");
    assert!(health.dead_rows >= 400 && health.oldest_snapshot >= Duration::from_millis(500), "{health:?}");
}

#[tokio::test]
async fn only_work_of_the_batch_wakes() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let same_number = Schema::new(&address);
    let store = schema.builder().open().await.expect("opens");
    let other = schema.builder().name("other").open().await.expect("opens");
    let stranger = same_number.builder().open().await.expect("opens");
    let sibling = schema.builder().open().await.expect("opens");
    // The first waits end early: the connection that listens is made.
    for _ in 0..3 {
        assert!(store.claim(1, TTL, Ambiguous::Take).await.expect("claims").is_empty());
        store.wait().await;
    }
    let mut wait = std::pin::pin!(store.wait());
    assert!(timeout(Duration::from_millis(100), &mut wait).await.is_err());
    push(&other, 0..1).await;
    push(&stranger, 0..1).await;
    assert!(timeout(Duration::from_millis(500), &mut wait).await.is_err(), "that was work of others");
    push(&sibling, 0..1).await;
    timeout(Duration::from_millis(700), wait).await.expect("another process has pushed");
    assert_eq!(store.claim(9, TTL, Ambiguous::Take).await.expect("claims").len(), 1);
}

/// The connection that listens is cut again and again, and work is found all the same.
#[tokio::test]
async fn a_wait_outlives_its_connection() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let direct = schema.builder().open().await.expect("opens");
    let (database, plain) = through(&address, 0);
    let port = database.rsplit(':').next().expect("a port");
    let named =
        format!("{} application_name={}", plain.replace("port=0", &format!("port={port}")), schema.name);
    let store = PostgresWork::builder(&named).schema(&schema.name).open().await.expect("opens");
    let client = schema.client().await;
    let mut cut = 0;
    for round in 0..4 {
        let began = Instant::now();
        let mut pushed = false;
        while finish_all(&store).await == 0 {
            if !pushed {
                // The first wait makes the connection.
                store.wait().await;
                store.wait().await;
                let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                           where application_name = $1 and query = 'listen outbound_work'";
                cut += client.query_one(all, &[&schema.name]).await.expect("is cut").get::<_, i64>(0);
                push(&direct, round..round + 1).await;
                pushed = true;
            }
            store.wait().await;
            assert!(began.elapsed() < Duration::from_secs(20), "it is never found");
        }
    }
    assert!(cut >= 2, "{cut}");
}

/// The database is away: a wait ends in time, and says nothing.
#[tokio::test]
async fn a_wait_without_a_database_is_a_pause() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    schema.builder().open().await.expect("makes the tables");
    let (database, _) = through(&address, 0);
    let proxy = Proxy::new(database).await;
    let store = open_through(&proxy, &address, &schema).await;
    drop(proxy);
    let began = Instant::now();
    for _ in 0..3 {
        store.wait().await;
    }
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(3) && waited < Duration::from_secs(8), "{waited:?}");
}

/// Of many who push the same at once one has made it, and all others hear whether it is the same.
#[tokio::test]
async fn who_pushes_at_the_same_time_hears_the_truth() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let mut stores = Vec::new();
    for _ in 0..6 {
        let store = schema.builder().open().await.expect("opens");
        store.counts().await.expect("is connected");
        stores.push(store);
    }
    for round in 0..15 {
        let all = stores.iter().enumerate().map(|(number, store)| {
            // In one order, so that nobody waits for another one in a circle.
            let work = (0..20).map(|id| Work::new(format!("{round} {id:02}"), format!("by {}", number % 2)));
            store.push(work.collect())
        });
        let pushed: Vec<_> =
            futures::future::join_all(all).await.into_iter().map(|pushed| pushed.expect("works")).collect();
        for id in 0..20 {
            let maker = (0..6).filter(|store| pushed[*store][id] == Pushed::New).collect::<Vec<_>>();
            assert_eq!(maker.len(), 1, "{pushed:?}");
            for store in (0..6).filter(|store| *store != maker[0]) {
                let same = store % 2 == maker[0] % 2;
                let expected = if same { Pushed::Unfinished } else { Pushed::Changed };
                assert_eq!(pushed[store][id], expected, "{id} by {store}: {pushed:?}");
            }
        }
    }
}

/// 32 holders, on connections of several stores: each piece of work is answered once, failed ones after a second try.
#[tokio::test]
async fn many_holders_of_several_stores() {
    const STORES: usize = 6;
    const JOBS: u32 = 1_500;
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let first = schema.builder().open().await.expect("opens");
    let mut stores = vec![first.clone()];
    for _ in 1..STORES {
        stores.push(schema.builder().open().await.expect("opens"));
    }
    let ended = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let mut tasks = JoinSet::new();
    for task in 0..32 {
        let (store, ended) = (stores[task % STORES].clone(), ended.clone());
        tasks.spawn(async move {
            for _ in 0..10_000 {
                let leases = store.claim(7, TTL, Ambiguous::Take).await.expect("claims");
                let ends: Vec<_> = leases
                    .iter()
                    .map(|lease| {
                        let fails = lease.deliveries == 1 && lease.id.ends_with('3');
                        (lease, if fails { End::Failed("why".into()) } else { "answer".into() })
                    })
                    .collect();
                for (held, lease) in store.finish(&ends).await.expect("finishes").iter().zip(&leases) {
                    assert!(held.is_ok());
                    *ended.lock().expect("no panic").entry(lease.id.to_string()).or_default() += 1;
                }
                if leases.is_empty() {
                    let counts = store.counts().await.expect("counts");
                    if counts.done == JOBS as usize && counts.failed == 0 {
                        return;
                    }
                    store.wait().await;
                }
            }
            panic!("it goes on for ever");
        });
    }
    for some in 0..3 {
        push(&first, some * JOBS / 3..(some + 1) * JOBS / 3).await;
    }
    for round in 0..600 {
        let counts = first.counts().await.expect("counts");
        if counts.done == JOBS as usize {
            assert_eq!(counts.failed, JOBS as usize / 10);
            break;
        }
        assert!(round < 599, "{counts:?}");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(first.retry_failed().await.expect("works"), JOBS as usize / 10);
    timeout(Duration::from_secs(60), tasks.join_all()).await.expect("it ends");
    let ended = ended.lock().expect("no panic");
    assert_eq!(ended.len(), JOBS as usize);
    assert!(ended.iter().all(|(id, times)| *times == if id.ends_with('3') { 2 } else { 1 }));
}
