//! Many tasks, seeded cancellations, both runtimes: every item comes out once, and everybody ends.

use std::{sync::Arc, sync::Mutex, time::Duration};

use outbound_queue::{Queue, WorkerPool};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::flavours;

const PRODUCERS: u32 = 4;
const CONSUMERS: u32 = 4;
const ITEMS: u32 = 400;

/// A small generator, so that a run is known by its seed.
struct Draws(u64);

impl Draws {
    /// 0 to `below - 1`: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
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
            // Given up if it is not at once: what is dropped then must never be delivered.
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
                // Dropped without being done, in one case of two.
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

async fn a_pool_accounts_for_everything(seed: u64) {
    const JOBS: u32 = 300;
    let queue: Queue<u32> = Queue::bounded(8);
    let done = Arc::new(Mutex::new(Vec::new()));
    let pool = WorkerPool::builder().max_deliveries(2).spawn(queue.clone(), 4, {
        let done = Arc::clone(&done);
        move |lease| {
            let done = Arc::clone(&done);
            let mut draws = Draws(seed ^ (u64::from(*lease) << 20 | u64::from(lease.deliveries())) | 1);
            async move {
                match draws.next(6) {
                    0 => std::panic::resume_unwind(Box::new("seeded")),
                    1 => return,
                    2 => tokio::task::yield_now().await,
                    3 => sleep(Duration::from_micros(200)).await,
                    _ => {}
                }
                // The one after the other without an await between: done in both places or in neither.
                done.lock().expect("nobody panics with it").push(*lease);
                lease.done();
            }
        }
    });
    let producer = tokio::spawn(async move {
        for item in 0..JOBS {
            if let Err(refused) = queue.push(item).await {
                return (refused.into_inner()..JOBS).collect();
            }
        }
        Vec::new()
    });
    sleep(Duration::from_millis(seed % 8)).await;
    let report = pool.shutdown(Duration::from_millis(seed % 3)).await;
    let refused = producer.await.expect("it does not panic");
    let done = std::mem::take(&mut *done.lock().expect("nobody panics with it"));
    assert_eq!((report.done, report.leased), (done.len() as u64, 0), "seed {seed}");
    let mut all = [done, report.returned, report.abandoned, report.exhausted, refused].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..JOBS), "seed {seed}");
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
