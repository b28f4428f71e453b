//! Queues: work handed from task to task, in order, by urgency, and without losing any of it.
//!
//! ```sh
//! cargo run --example queues
//! ```
//!
//! It runs on tokio's paused clock: where every task waits, time jumps to the next timer. So the waits are exact.

use std::{cmp::Reverse, collections::VecDeque, time::Duration};

use futures::{
    StreamExt,
    future::{join, join_all},
};
use outbound::queue::{Lease, Queue, TryPushError, WorkerPool};
use outbound_examples::{Result, heading};
use tokio::time::{Instant, sleep};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    producers_and_consumers().await?;
    agent_tasks().await?;
    leases().await?;
    leases_by_hand().await?;
    later().await?;
    priorities().await?;
    aging().await?;
    pipeline().await?;
    worker_pool().await
}

async fn producers_and_consumers() -> Result {
    heading("Producers and consumers: a bounded queue slows down the faster side");
    let queue = Queue::bounded(4);
    let begun = Instant::now();
    let produce = async |name: &str| -> Result<Duration> {
        for number in 1..=10 {
            // Waits while four are in the queue. It fails only once the queue is closed, and gives the item back.
            queue.push(format!("{name}{number}")).await?;
        }
        Ok(begun.elapsed())
    };
    let consume = async || {
        let mut eaten = 0;
        // `None` once the queue is closed and empty: the end of the loop is the end of the work.
        while let Some(_item) = queue.pop().await {
            sleep(Duration::from_millis(100)).await;
            eaten += 1;
        }
        eaten
    };
    let producers = async {
        let ends = join(produce("a"), produce("b")).await;
        queue.close();
        ends
    };
    let (ends, eaten) = join(producers, join_all((0..3).map(|_| consume()))).await;
    println!("20 items, produced in {:?}, consumed {eaten:?}", ends.0?.max(ends.1?));
    assert_eq!(eaten.iter().sum::<i32>(), 20);

    // Without waiting, the answer is at once yes or no, and the item comes back with a no.
    let full = Queue::bounded(1);
    full.try_push("first")?;
    assert_eq!(full.try_push("second"), Err(TryPushError::Full("second")));
    assert_eq!(full.try_pop(), Ok("first"));
    // Many at once, as many as there is room for.
    let mut items = VecDeque::from(["third"]);
    full.push_many(&mut items).await?;
    assert!(items.is_empty() && full.is_full());
    Ok(())
}

/// A task of an agent, and how many tasks it finds out to be needed.
struct Task {
    name: String,
    parts: u32,
}

async fn agent_tasks() -> Result {
    heading("An agent's tasks: join waits for those that tasks make, too");
    // Workers that push must not wait for room that only they could make, so this queue has no bound.
    let tasks = Queue::unbounded();
    let work = async |tasks: &Queue<Task>, task: &mut Lease<Task>| {
        sleep(Duration::from_secs(1)).await;
        for part in 1..=task.parts {
            let name = format!("{}.{part}", task.name);
            tasks.push(Task { name, parts: task.parts - 1 }).await?;
        }
        // Now it is done, and not before its parts are in the queue: `join` cannot miss them.
        Ok(())
    };
    let pool = WorkerPool::spawn_with(tasks.clone(), tasks.clone(), 3, work);
    let begun = Instant::now();
    tasks.push(Task { name: "report".to_owned(), parts: 3 }).await?;
    tasks.join().await;
    println!("nothing left to do after {:?}", begun.elapsed());
    let report = pool.shutdown(Duration::from_secs(1)).await;
    println!("{} tasks were done", report.done);
    assert_eq!(report.done, 1 + 3 + 3 * 2 + 3 * 2);
    Ok(())
}

async fn leases() -> Result {
    heading("Leases: a task that fails or panics comes back");
    // The default hook would print a page to standard error. A worker lives on either way.
    std::panic::set_hook(Box::new(|_| println!("  (the handler panics)")));
    let queue = Queue::bounded(8);
    for job in ["fine", "panics at first", "fails at first", "hopeless"] {
        queue.push(job).await?;
    }
    let begun = Instant::now();
    let pool =
        WorkerPool::builder().max_deliveries(3).spawn(queue.clone(), 2, async |job: &mut Lease<&str>| {
            println!("{}, delivery {}", **job, job.deliveries());
            match (**job, job.deliveries()) {
                ("panics at first", 1) => panic!("to show that the job is not lost"),
                ("fails at first", 1) => {
                    // As the server says, instead of the second that is the default.
                    job.delay_next_delivery(Duration::from_secs(5));
                    Err("busy, come back in five seconds".into())
                }
                ("hopeless", _) => Err("no such thing".into()),
                _ => Ok(()),
            }
        });
    queue.join().await;
    println!("over after {:?}", begun.elapsed());
    let report = pool.shutdown(Duration::from_secs(1)).await;
    let _ = std::panic::take_hook();
    println!("{} done, {} panic, {} errors", report.done, report.panics, report.errors);
    for (job, failure) in &report.exhausted {
        println!("given up: {job} ({failure})");
    }
    assert_eq!((report.done, report.panics, report.errors), (3, 1, 1 + 3));
    assert_eq!(report.exhausted[0].0, "hopeless");
    Ok(())
}

async fn leases_by_hand() -> Result {
    heading("Leases without a pool: done is said, and not assumed");
    let queue = Queue::bounded(4);
    queue.push("a job").await?;
    // Dropped without `done`, as a panic or a cancellation would: the job goes back to the front.
    drop(queue.lease().await);
    let lease = queue.lease().await.ok_or("the job is back")?;
    println!("{}: delivery {}, {} unfinished", *lease, lease.deliveries(), queue.unfinished());
    lease.done();
    assert_eq!(queue.unfinished(), 0);
    Ok(())
}

async fn later() -> Result {
    heading("Later: an item that is not due yet takes room, and is not handed over");
    let (queue, begun) = (Queue::bounded(4), Instant::now());
    queue.push_after("in a minute", Duration::from_secs(60)).await?;
    queue.push("now").await?;
    for _ in 0..2 {
        let item = queue.pop().await.ok_or("there are two")?;
        println!("{item:?} after {:?}", begun.elapsed());
    }
    assert_eq!(begun.elapsed().as_secs(), 60);
    Ok(())
}

async fn priorities() -> Result {
    heading("Priorities: the most urgent first, equals in the order in which they came");
    struct Job {
        class: u32,
        name: &'static str,
    }
    let queue = Queue::priority(16, |job: &Job| job.class);
    for (class, name) in [(2, "nightly report"), (1, "e-mail"), (0, "chat"), (1, "search"), (0, "voice")] {
        queue.push(Job { class, name }).await?;
    }
    queue.close();
    // A queue is a stream, too, which ends once the queue is closed and empty.
    let served: Vec<_> = queue.items().map(|job| job.name).collect().await;
    println!("{}", served.join(", "));
    assert_eq!(served, ["chat", "voice", "e-mail", "search", "nightly report"]);

    // By a key of any type that has an order, here the score and the other way round.
    let queue = Queue::by_key(16, |page: &(&str, u32)| Reverse(page.1));
    for page in [("about", 2), ("index", 9), ("blog", 5)] {
        queue.push(page).await?;
    }
    assert_eq!(queue.take_all(), [("index", 9), ("blog", 5), ("about", 2)]);

    // The newest first, where an old item is of no use.
    let newest = Queue::lifo(16);
    for price in [101, 104, 99] {
        newest.push(price).await?;
    }
    assert_eq!(newest.pop().await, Some(99));
    Ok(())
}

async fn aging() -> Result {
    heading("Aging: the urgent go ahead, and nobody waits for ever");
    let handicap = |name: &&str| Duration::from_secs(if *name == "nightly report" { 60 } else { 0 });
    let queue = Queue::aging(16, handicap);
    let begun = Instant::now();
    queue.push("nightly report").await?;
    // There is a chat to be served at any time, one more every ten seconds: by priority it would always be next.
    queue.push("chat").await?;
    while queue.pop().await == Some("chat") {
        sleep(Duration::from_secs(10)).await;
        queue.push("chat").await?;
    }
    println!("the nightly report's turn came after {:?}", begun.elapsed());
    assert_eq!(begun.elapsed(), Duration::from_secs(60));
    Ok(())
}

async fn pipeline() -> Result {
    heading("A pipeline: requests in, responses out, each stage at its own width");
    let (requests, responses) = (Queue::bounded(8), Queue::bounded(2));
    let begun = Instant::now();
    // Ten calls at a time, since they mostly wait. A slow stage behind fills its queue, and then the calls wait for
    // room in it: the pressure goes upstream by itself.
    let calls = WorkerPool::builder().results(responses.clone()).spawn(
        requests.clone(),
        10,
        async |request: &mut Lease<u32>| {
            sleep(Duration::from_millis(500)).await;
            Ok((**request, format!("answer {}", **request)))
        },
    );
    let store = async {
        let (mut stored, mut writes) = (Vec::new(), 0);
        // One write for as many as are there; none there at all is the end.
        while responses.pop_many(&mut stored, 8).await > 0 {
            sleep(Duration::from_millis(50)).await;
            writes += 1;
        }
        stored.sort();
        (stored, writes)
    };
    let feed = async || -> Result<u64> {
        for number in 0..50 {
            requests.push(number).await?;
        }
        // Stage by stage: the queue for results is closed when the last worker has finished.
        Ok(calls.shutdown(Duration::MAX).await.done)
    };
    let (done, (stored, writes)) = join(feed(), store).await;
    println!("{} requests, {} responses, {writes} writes in {:?}", done?, stored.len(), begun.elapsed());
    assert!(stored.iter().map(|(number, _)| *number).eq(0..50) && writes < 50);
    Ok(())
}

async fn worker_pool() -> Result {
    heading("A worker pool, shut down in the middle: every job is accounted for");
    let queue = Queue::bounded(100);
    let pool = WorkerPool::spawn(queue.clone(), 4, async |_: &mut Lease<u64>| {
        sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    for job in 0..20 {
        queue.push(job).await?;
    }
    sleep(Duration::from_millis(2500)).await;
    // No job is taken in any more. The others have a second to finish, and then the workers are stopped.
    let report = pool.shutdown(Duration::from_secs(1)).await;
    println!(
        "{} done, {} cut off under way, {} never begun",
        report.done,
        report.abandoned.len(),
        report.returned.len()
    );
    assert_eq!((report.done, report.abandoned.len(), report.returned.len()), (12, 4, 4));
    println!("perhaps done: {:?}; surely not begun: {:?}", report.abandoned, report.returned);
    assert!(queue.push(99).await.is_err());
    Ok(())
}
