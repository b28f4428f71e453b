//! Many tasks with seeded cancellations, on both runtimes: every item comes out once, and every task ends.

use std::{pin::pin, task::Poll, time::Duration};

use futures::StreamExt;
use outbound_queue::{Lease, Queue, WorkerPool};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::flavours;

const PRODUCERS: u32 = 4;
const CONSUMERS: u32 = 4;
const ITEMS: u32 = 400;

/// A small generator, so that a seed repeats a run.
struct Draws(u64);

impl Draws {
    /// A number from 0 to `below - 1`, by xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
    /// generators").
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }
}

async fn produce(queue: Queue<u32>, producer: u32) -> u32 {
    let mut draws = Draws(u64::from(producer) + 1);
    let mut kept = 0;
    for i in 0..ITEMS {
        let item = producer * ITEMS + i;
        if draws.next(4) == 0 {
            // The push is dropped if it is not ready at once. Its item must then never be delivered.
            match timeout(Duration::ZERO, queue.push(u32::MAX)).await {
                Ok(pushed) => {
                    pushed.expect("it is open");
                    kept += 1;
                }
                Err(_elapsed) => {}
            }
        }
        queue.push(item).await.expect("it is open");
        if draws.next(8) == 0 {
            tokio::task::yield_now().await;
        }
    }
    kept
}

async fn consume(queue: Queue<u32>, consumer: u32) -> Vec<u32> {
    let mut draws = Draws(u64::from(consumer) + 100);
    let mut taken = Vec::new();
    loop {
        match draws.next(6) {
            0 => {
                if let Ok(item) = timeout(Duration::ZERO, queue.pop()).await {
                    match item {
                        Some(item) => taken.push(item),
                        None => return taken,
                    }
                }
            }
            1 => match queue.lease().await {
                // In one case of two the lease is dropped without being done.
                Some(lease) if draws.next(2) == 0 => taken.push(lease.into_inner()),
                Some(_) => {}
                None => return taken,
            },
            _ => match queue.pop().await {
                Some(item) => taken.push(item),
                None => return taken,
            },
        }
    }
}

async fn every_item_comes_out_once(capacity: usize) {
    for (name, queue) in flavours(capacity) {
        let mut producers = JoinSet::new();
        let mut consumers = JoinSet::new();
        for i in 0..PRODUCERS {
            producers.spawn(produce(queue.clone(), i));
        }
        for i in 0..CONSUMERS {
            consumers.spawn(consume(queue.clone(), i));
        }
        let kept: u32 = producers.join_all().await.into_iter().sum();
        queue.join().await;
        queue.close();
        let mut taken = consumers.join_all().await.concat();
        taken.extend(queue.take_all());
        taken.sort_unstable();
        let extra = taken.split_off((PRODUCERS * ITEMS) as usize);
        assert!(taken.into_iter().eq(0..PRODUCERS * ITEMS), "{name}");
        assert_eq!(extra, vec![u32::MAX; kept as usize], "{name}");
    }
}

#[tokio::test]
async fn every_item_comes_out_once_on_one_thread() {
    every_item_comes_out_once(1).await;
    every_item_comes_out_once(16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_comes_out_once_on_two() {
    every_item_comes_out_once(1).await;
    every_item_comes_out_once(16).await;
}

/// A pool whose handlers panic, fail, are slow and are aborted. Its size changes, and it is dropped or shut down in the
/// middle, while pushes are cancelled. In the end every job has to be accounted for exactly once. Returns the number of
/// panics, cancellations and shutdowns.
async fn a_pool_accounts_for_everything(seed: u64) -> usize {
    const JOBS: u32 = 300;
    let queue: Queue<u32> = Queue::bounded(8);
    let results = Queue::bounded(4);
    let handler = async |seed: &u64, lease: &mut Lease<u32>| {
        let mut draws = Draws(seed ^ (u64::from(**lease) << 20 | u64::from(lease.deliveries())) | 1);
        match draws.next(6) {
            0 => std::panic::resume_unwind(Box::new("seeded")),
            1 => return Err("seeded".into()),
            2 => tokio::task::yield_now().await,
            3 => sleep(Duration::from_micros(100)).await,
            _ => {}
        }
        Ok(**lease)
    };
    // With every second seed, a job that failed is delivered again without a wait.
    let wait = Duration::from_micros(seed % 2 * 200);
    let mut pool = WorkerPool::builder()
        .max_deliveries(2)
        .redelivery_wait(wait, wait)
        .results(results.clone())
        .spawn_with(seed, queue.clone(), 4, handler);
    let consumer = tokio::spawn(async move { results.items().collect::<Vec<u32>>().await });
    let producer = tokio::spawn(async move {
        let mut draws = Draws(seed | 1);
        let (mut extra, mut cancelled) = (0, 0);
        for item in 0..JOBS {
            // The push is dropped if it is not ready at once. Its item must then never be delivered.
            if draws.next(4) == 0 {
                let mut push = pin!(queue.push(u32::MAX));
                match futures::poll!(push.as_mut()) {
                    Poll::Ready(Ok(())) => extra += 1,
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => cancelled += 1,
                }
            }
            if let Err(refused) = queue.push(item).await {
                return ((refused.into_inner()..JOBS).collect(), extra, cancelled);
            }
        }
        (Vec::new(), extra, cancelled)
    });
    for step in 0..seed % 4 {
        sleep(Duration::from_micros(300)).await;
        pool.resize((1 + (seed >> step) % 6) as usize);
    }
    let report = pool.shutdown(Duration::from_micros(seed % 3 * 400)).await;
    let (refused, extra, cancelled) = producer.await.expect("it does not panic");
    let done = consumer.await.expect("it does not panic");
    assert_eq!((report.done, report.leased), (done.len() as u64, 0), "seed {seed}");
    let events = (report.panics + report.errors) as usize + report.abandoned.len() + cancelled + 1;
    let exhausted = report.exhausted.into_iter().map(|(item, _)| item).collect();
    let mut all = [done, report.returned, report.abandoned, exhausted, refused].concat();
    all.sort_unstable();
    let more = all.split_off(JOBS as usize);
    assert_eq!(more, vec![u32::MAX; extra], "seed {seed}");
    assert!(all.into_iter().eq(0..JOBS), "seed {seed}");
    events
}

#[tokio::test]
async fn a_pool_accounts_for_everything_on_one_thread() {
    for seed in 0..12 {
        a_pool_accounts_for_everything(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_accounts_for_everything_on_two() {
    for seed in 0..24 {
        a_pool_accounts_for_everything(seed).await;
    }
}

/// Runs pools until there were as many events as `OUTBOUND_POOL_EVENTS` says. A full run has a million.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_cancellations_and_shutdowns_lose_and_double_nothing() {
    let wanted = std::env::var("OUTBOUND_POOL_EVENTS").ok().and_then(|events| events.parse().ok());
    let (mut events, mut pools) = (0, 0);
    while events < wanted.unwrap_or(2_000) {
        pools += 1;
        events += a_pool_accounts_for_everything(pools * 0x9E37_79B9).await;
    }
    println!(
        "{events} panics, cancellations and shutdowns over {pools} pools: nothing lost, nothing doubled"
    );
}
