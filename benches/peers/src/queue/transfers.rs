//! Items from many tasks to many, which wait for each other.

use std::{cell::Cell, sync::mpsc, thread, time::Duration};

use tokio::{runtime::Builder, time::Instant};

use super::{case, channels::*};
use crate::{
    case::{Case, Group, Kind},
    measure, output,
};

/// So many producers and as many consumers, and the capacity.
const CELLS: [(u64, usize); 9] =
    [(1, 1), (1, 64), (1, 1024), (4, 1), (4, 64), (4, 1024), (16, 1), (16, 64), (16, 1024)];

/// As the cells, since a group's name lives as long as the program.
const ON_ONE_THREAD: [&str; 9] = [
    "queue/one thread, 1x1, capacity 1",
    "queue/one thread, 1x1, capacity 64",
    "queue/one thread, 1x1, capacity 1024",
    "queue/one thread, 4x4, capacity 1",
    "queue/one thread, 4x4, capacity 64",
    "queue/one thread, 4x4, capacity 1024",
    "queue/one thread, 16x16, capacity 1",
    "queue/one thread, 16x16, capacity 64",
    "queue/one thread, 16x16, capacity 1024",
];

/// How long one run may take: what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn on_one_thread() -> Vec<Group> {
    let group = |(name, (tasks, capacity))| Group {
        name,
        about: "Producers and consumers on one thread, each in a task; for one item of 8 bytes.",
        rounds: 3_200,
        is_counted: false,
        cases: cases(1, tasks, capacity),
    };
    ON_ONE_THREAD.into_iter().zip(CELLS).map(group).collect()
}

/// Prints a table of all cells. What is counted differs from run to run there, so times are all there is.
pub(super) fn on_two_threads() {
    println!("### queue/two threads\n");
    println!("ns for an item of 8 bytes (lowest to highest), x the first row, turn by turn.\n");
    let mut rows: Vec<(&str, Vec<String>)> = Vec::new();
    let mut faster = Vec::new();
    for (tasks, capacity) in CELLS {
        let cases = cases(2, tasks, capacity);
        let cell_name = format!("queue/two threads, {tasks}x{tasks}, capacity {capacity}");
        output::about(
            &cell_name,
            "Producers and consumers on two threads, each in a task; for one item of 8 bytes.",
        );
        let group = Group { name: "queue/two threads", about: "", rounds: 16_000, is_counted: false, cases };
        let turns = measure::take_turns(&group);
        for (case, times) in group.cases.iter().zip(&turns) {
            let [low, median, high] = output::spread(times.iter().copied());
            let [_, slower, _] = measure::ratios(times, &turns[0]);
            let cell = format!("{median:.0} ({low:.0} to {high:.0}) x {slower:.2}");
            measure::record_times(&cell_name, case, times, &turns[0]);
            match rows.iter_mut().find(|(name, _)| *name == case.name) {
                Some((_, cells)) => cells.push(cell),
                None => rows.push((case.name, vec![cell])),
            }
            if case.kind == Kind::Peer && slower < 1.0 {
                faster.push(format!("{tasks}x{tasks}, {capacity}: {} ({slower:.2})", case.name));
            }
        }
    }
    let heads = CELLS.map(|(tasks, capacity)| format!("{tasks}x{tasks}, {capacity}"));
    println!("| | {} |", heads.join(" | "));
    println!("|---|{}", "---:|".repeat(CELLS.len()));
    for (name, cells) in &rows {
        // Those of one consumer have the first three.
        println!("| {name} | {}{} |", cells.join(" | "), " | -".repeat(CELLS.len() - cells.len()));
    }
    let faster = if faster.is_empty() { "none".to_owned() } else { faster.join("; ") };
    println!("\nFaster than the first row: {faster}.\n");
}

fn cases(threads: usize, tasks: u64, capacity: usize) -> Vec<Case> {
    let mut cases = vec![
        of::<Fifo>(threads, tasks, capacity).ours(),
        of::<Leased>(threads, tasks, capacity).ours(),
        of::<Priority>(threads, tasks, capacity).ours(),
        of::<AsyncChannel>(threads, tasks, capacity),
        of::<Flume>(threads, tasks, capacity),
        of::<Kanal>(threads, tasks, capacity),
        of::<Crossfire>(threads, tasks, capacity),
        of::<SharedMpsc>(threads, tasks, capacity),
        of::<Loole>(threads, tasks, capacity),
        of::<Deadqueue>(threads, tasks, capacity),
        of::<PriorityChannel>(threads, tasks, capacity),
        of::<HeapAndSemaphores>(threads, tasks, capacity),
    ];
    if tasks == 1 {
        cases.push(of::<Mpsc>(threads, tasks, capacity));
        cases.push(of::<CrossfireMpsc>(threads, tasks, capacity));
        cases.push(of::<Thingbuf>(threads, tasks, capacity));
    }
    cases
}

/// A round is an item.
fn of<C: Channel<u64>>(threads: usize, tasks: u64, capacity: usize) -> Case {
    let hangs = Cell::new(false);
    case::<C, u64>(move |rounds| {
        if hangs.get() {
            return PATIENCE;
        }
        watched(threads, move || transfer::<C>(tasks, capacity, rounds)).unwrap_or_else(|| {
            println!("(hangs, and its times are none: {}, {tasks}x{tasks}, capacity {capacity})\n", C::NAME);
            hangs.set(true);
            PATIENCE
        })
    })
}

/// Runs in a thread of its own, which is left behind if it does not end.
fn watched<F>(threads: usize, run: impl FnOnce() -> F + Send + 'static) -> Option<Duration>
where
    F: Future<Output = Duration> + Send + 'static,
{
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = builder.worker_threads(threads).build().expect("a runtime");
        // In a task, as in a program: where the caller blocks is no place to measure.
        let elapsed = runtime.block_on(async { tokio::spawn(run()).await.expect("every item once") });
        _ = sender.send(elapsed);
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(elapsed) => Some(elapsed),
        Err(mpsc::RecvTimeoutError::Timeout) => None,
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("a transfer panicked"),
    }
}

async fn transfer<C: Channel<u64>>(tasks: u64, capacity: usize, items: u64) -> Duration {
    let (sender, receiver) = C::new(capacity);
    let mut receivers: Vec<_> = (1..tasks).map(|_| C::another(&receiver).expect("many consumers")).collect();
    receivers.push(receiver);
    let each = items / tasks;
    let started = Instant::now();
    let consume = |mut receiver| async move {
        let (mut count, mut sum) = (0, 0);
        loop {
            match C::receive(&mut receiver).await.item() {
                Some(END) => return (count, sum),
                Some(item) => (count, sum) = (count + 1, sum + item),
                None => panic!("it is open"),
            }
        }
    };
    let consumers: Vec<_> = receivers.into_iter().map(|receiver| tokio::spawn(consume(receiver))).collect();
    let produce = |task| {
        let sender = sender.clone();
        async move {
            for i in 0..each {
                assert!(C::send(&sender, task * each + i).await.accepted());
            }
        }
    };
    let producers: Vec<_> = (0..tasks).map(|task| tokio::spawn(produce(task))).collect();
    for producer in producers {
        producer.await.expect("it does not panic");
    }
    for _ in 0..tasks {
        assert!(C::send(&sender, END).await.accepted());
    }
    let (mut count, mut sum) = (0, 0);
    for consumer in consumers {
        let (its_count, its_sum) = consumer.await.expect("it does not panic");
        (count, sum) = (count + its_count, sum + its_sum);
    }
    let elapsed = started.elapsed();
    let all = each * tasks;
    assert_eq!((count, sum), (all, all * (all - 1) / 2), "{}: every item once", C::NAME);
    elapsed
}
