//! Our queues beside the light channels: one task that need not wait, and many that do.
//!
//! Every transfer asserts that each item came out once. kanal and flume take no part in tokio's cooperative budget, and
//! deliver items whose send was dropped: part of their lead is bought with that.

use std::{future::Future, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput};
use outbound_queue::Queue;
use tokio::{runtime, sync::mpsc};

const ITEMS: u64 = 20_000;

/// What tells a consumer to end. Closing differs too much from one to the other.
const END: u64 = u64::MAX;

trait Channel: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn new(capacity: usize) -> Self;
    fn send(&self, item: u64) -> impl Future<Output = ()> + Send;
    fn receive(&self) -> impl Future<Output = u64> + Send;
}

#[derive(Clone)]
struct Fifo(Queue<u64>);

#[derive(Clone)]
struct Priority(Queue<u64>);

#[derive(Clone)]
struct Leased(Queue<u64>);

#[derive(Clone)]
struct Kanal(kanal::AsyncSender<u64>, kanal::AsyncReceiver<u64>);

#[derive(Clone)]
struct Flume(flume::Sender<u64>, flume::Receiver<u64>);

#[derive(Clone)]
struct AsyncChannel(async_channel::Sender<u64>, async_channel::Receiver<u64>);

/// It has one consumer, so several share it behind a lock.
#[derive(Clone)]
struct Mpsc(mpsc::Sender<u64>, Arc<tokio::sync::Mutex<mpsc::Receiver<u64>>>);

impl Channel for Fifo {
    const NAME: &'static str = "fifo";

    fn new(capacity: usize) -> Self {
        Self(Queue::bounded(capacity))
    }

    async fn send(&self, item: u64) {
        self.0.push(item).await.expect("it is open");
    }

    async fn receive(&self) -> u64 {
        self.0.pop().await.expect("it is open")
    }
}

impl Channel for Priority {
    const NAME: &'static str = "priority";

    fn new(capacity: usize) -> Self {
        // What ends comes last.
        Self(Queue::priority(capacity, |item: &u64| if *item == END { 63 } else { (*item % 8) as u32 }))
    }

    async fn send(&self, item: u64) {
        self.0.push(item).await.expect("it is open");
    }

    async fn receive(&self) -> u64 {
        self.0.pop().await.expect("it is open")
    }
}

impl Channel for Leased {
    const NAME: &'static str = "lease";

    fn new(capacity: usize) -> Self {
        Self(Queue::bounded(capacity))
    }

    async fn send(&self, item: u64) {
        self.0.push(item).await.expect("it is open");
    }

    async fn receive(&self) -> u64 {
        self.0.lease().await.expect("it is open").into_inner()
    }
}

impl Channel for Kanal {
    const NAME: &'static str = "kanal";

    fn new(capacity: usize) -> Self {
        let (sender, receiver) = kanal::bounded_async(capacity);
        Self(sender, receiver)
    }

    async fn send(&self, item: u64) {
        self.0.send(item).await.expect("it is open");
    }

    async fn receive(&self) -> u64 {
        self.1.recv().await.expect("it is open")
    }
}

impl Channel for Flume {
    const NAME: &'static str = "flume";

    fn new(capacity: usize) -> Self {
        let (sender, receiver) = flume::bounded(capacity);
        Self(sender, receiver)
    }

    async fn send(&self, item: u64) {
        self.0.send_async(item).await.expect("it is open");
    }

    async fn receive(&self) -> u64 {
        self.1.recv_async().await.expect("it is open")
    }
}

impl Channel for AsyncChannel {
    const NAME: &'static str = "async-channel";

    fn new(capacity: usize) -> Self {
        let (sender, receiver) = async_channel::bounded(capacity);
        Self(sender, receiver)
    }

    async fn send(&self, item: u64) {
        self.0.send(item).await.expect("it is open");
    }

    async fn receive(&self) -> u64 {
        self.1.recv().await.expect("it is open")
    }
}

impl Channel for Mpsc {
    const NAME: &'static str = "tokio mpsc";

    fn new(capacity: usize) -> Self {
        let (sender, receiver) = mpsc::channel(capacity);
        Self(sender, Arc::new(tokio::sync::Mutex::new(receiver)))
    }

    async fn send(&self, item: u64) {
        self.0.send(item).await.expect("it is open");
    }

    async fn receive(&self) -> u64 {
        self.1.lock().await.recv().await.expect("it is open")
    }
}

/// One task pushes an item and takes it out again.
async fn pairs<C: Channel>() {
    let channel = C::new(64);
    for item in 0..ITEMS {
        channel.send(item).await;
        assert_eq!(channel.receive().await, item);
    }
}

async fn transfer<C: Channel>(tasks: u64, capacity: usize) {
    let channel = C::new(capacity);
    let each = ITEMS / tasks;
    let spawn_consumer = |_| {
        let channel = channel.clone();
        tokio::spawn(async move {
            let (mut count, mut sum) = (0, 0);
            loop {
                match channel.receive().await {
                    END => return (count, sum),
                    item => (count, sum) = (count + 1, sum + item),
                }
            }
        })
    };
    let spawn_producer = |task| {
        let channel = channel.clone();
        tokio::spawn(async move {
            for i in 0..each {
                channel.send(task * each + i).await;
            }
        })
    };
    let consumers: Vec<_> = (0..tasks).map(spawn_consumer).collect();
    let producers: Vec<_> = (0..tasks).map(spawn_producer).collect();
    for producer in producers {
        producer.await.expect("it does not panic");
    }
    for _ in 0..tasks {
        channel.send(END).await;
    }
    let (mut count, mut sum) = (0, 0);
    for consumer in consumers {
        let (its_count, its_sum) = consumer.await.expect("it does not panic");
        (count, sum) = (count + its_count, sum + its_sum);
    }
    let all = each * tasks;
    assert_eq!((count, sum), (all, all * (all - 1) / 2), "{}: every item once", C::NAME);
}

fn ready<C: Channel>(c: &mut Criterion) {
    let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut group = c.benchmark_group("queue/20,000 pairs");
    group.throughput(Throughput::Elements(ITEMS));
    group.bench_function(C::NAME, |b| b.to_async(&runtime).iter(pairs::<C>));
    group.finish();
}

/// Threads, then producers and as many consumers, then the capacity. `benches/peers` has eighteen of them.
const CELLS: [(usize, u64, usize); 4] = [(1, 1, 64), (2, 1, 64), (2, 4, 1), (2, 4, 64)];

fn transfers<C: Channel>(c: &mut Criterion) {
    let one = runtime::Builder::new_current_thread().build().expect("a runtime");
    let two = runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    for (threads, tasks, capacity) in CELLS {
        // With four of each on two threads a wake-up is lost now and then, and the bench would never end.
        if C::NAME == "flume" && capacity == 1 {
            println!("queue: flume with a capacity of 1 is left out: it stops for ever now and then");
            continue;
        }
        let (runtime, word) = if threads == 1 { (&one, "thread") } else { (&two, "threads") };
        let name = format!("queue/20,000 items, {threads} {word}, {tasks}x{tasks}, capacity {capacity}");
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(ITEMS));
        group.bench_with_input(BenchmarkId::from_parameter(C::NAME), &(), |b, ()| {
            // In a task of its own, as in a program: where the caller blocks is no place to measure.
            b.to_async(runtime).iter(|| async move {
                tokio::spawn(transfer::<C>(tasks, capacity)).await.expect("every item came out once");
            });
        });
        group.finish();
    }
}

pub(super) fn measure() {
    println!(
        "queue: items through one task and through many, ours beside kanal, flume, async-channel and tokio mpsc"
    );
    println!(
        "queue: kanal and flume deliver an item whose send was dropped, and kanal loses one whose receive was"
    );
    let quick = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300));
    let c = &mut quick.measurement_time(Duration::from_secs(1)).without_plots().configure_from_args();
    ready::<Fifo>(c);
    ready::<Priority>(c);
    ready::<Leased>(c);
    ready::<Kanal>(c);
    ready::<Flume>(c);
    ready::<AsyncChannel>(c);
    ready::<Mpsc>(c);
    transfers::<Fifo>(c);
    transfers::<Priority>(c);
    transfers::<Kanal>(c);
    transfers::<Flume>(c);
    transfers::<AsyncChannel>(c);
    transfers::<Mpsc>(c);
    c.final_summary();
}
