//! Instructions for one operation, as callgrind counts them, and its allocations, against the gates.

use std::{
    future::Future,
    hint::black_box,
    pin::pin,
    task::{Context, Waker},
};

use outbound_instructions::callgrind::{self, ROUNDS};
use outbound_queue::Queue;

/// A case, how many instructions it may take, and what it does. None of those with a limit may allocate.
type Case = (&'static str, Option<f64>, fn(u64));

const CAPACITY: usize = 64;

/// What stays in a priority queue while its pairs are counted, behind most of them.
const BACKLOG: u64 = 10_000;

// A pair is awaited in a task, whose cooperative budget is renewed now and then.
const CASES: &[Case] = &[
    ("pair", Some(190.0), |rounds| pairs(rounds, &Queue::bounded(CAPACITY))),
    ("pair, lifo", Some(190.0), |rounds| pairs(rounds, &Queue::lifo(CAPACITY))),
    ("pair, priority", Some(265.0), |rounds| pairs(rounds, &Queue::priority(CAPACITY, class))),
    ("pair, priority, 10,000 waiting", Some(265.0), |rounds| {
        pairs(rounds, &filled(Queue::priority(usize::MAX, class)));
    }),
    ("pair, by key", None, |rounds| pairs(rounds, &Queue::by_key(CAPACITY, class))),
    ("pair, by key, 10,000 waiting", None, |rounds| pairs(rounds, &filled(Queue::by_key(usize::MAX, class)))),
    ("pair, tried", None, |rounds| {
        let queue = Queue::bounded(CAPACITY);
        for number in 0..rounds {
            queue.try_push(black_box(number)).expect("there is room");
            black_box(queue.try_pop()).expect("there is an item");
        }
    }),
    ("pair, leased", None, |rounds| {
        block_on(async move {
            let queue = Queue::bounded(CAPACITY);
            for number in 0..rounds {
                queue.push(black_box(number)).await.expect("it is open");
                black_box(queue.lease().await).expect("it is open").done();
            }
        });
    }),
    ("pair of kanal's", None, |rounds| {
        block_on(async move {
            let (sender, receiver) = kanal::bounded_async(CAPACITY);
            for number in 0..rounds {
                sender.send(black_box(number)).await.expect("it is open");
                black_box(receiver.recv().await).expect("it is open");
            }
        });
    }),
    ("pair of flume's", None, |rounds| {
        block_on(async move {
            let (sender, receiver) = flume::bounded(CAPACITY);
            for number in 0..rounds {
                sender.send_async(black_box(number)).await.expect("it is open");
                black_box(receiver.recv_async().await).expect("it is open");
            }
        });
    }),
    ("pop that waits", Some(WAITS), |rounds| waiting_pops(rounds, &Queue::bounded(1))),
    ("pop that waits, priority", Some(WAITS), |rounds| {
        waiting_pops(rounds, &Queue::priority(1, class));
    }),
    ("push that waits", Some(WAITS), |rounds| waiting_pushes(rounds, &Queue::bounded(1))),
    ("push that waits, priority", Some(WAITS), |rounds| {
        waiting_pushes(rounds, &Queue::priority(1, class));
    }),
];

/// Counted so that it gets no dearer; what it is there for is that it does not allocate.
const WAITS: f64 = 840.0;

fn pairs<K: Ord>(rounds: u64, queue: &Queue<u64, K>) {
    block_on(async {
        for number in 0..rounds {
            queue.push(black_box(number)).await.expect("it is open");
            black_box(queue.pop().await).expect("it is open");
        }
    });
}

fn waiting_pops(rounds: u64, queue: &Queue<u64>) {
    let mut cx = Context::from_waker(Waker::noop());
    for number in 0..rounds {
        let mut pop = pin!(queue.pop());
        assert!(pop.as_mut().poll(&mut cx).is_pending());
        queue.try_push(black_box(number)).expect("there is room");
        assert!(black_box(pop.poll(&mut cx)).is_ready());
    }
}

fn waiting_pushes(rounds: u64, queue: &Queue<u64>) {
    let mut cx = Context::from_waker(Waker::noop());
    queue.try_push(0).expect("there is room");
    for number in 0..rounds {
        let mut push = pin!(queue.push(black_box(number)));
        assert!(push.as_mut().poll(&mut cx).is_pending());
        black_box(queue.try_pop()).expect("there is an item");
        assert!(push.poll(&mut cx).is_ready());
    }
}

fn class(item: &u64) -> u32 {
    (item % 8) as u32
}

fn filled<K: Ord>(queue: Queue<u64, K>) -> Queue<u64, K> {
    for number in 0..BACKLOG {
        queue.try_push(8 * number + 7).expect("there is room");
    }
    queue
}

pub(super) fn gates() -> bool {
    if !callgrind::is_installed() {
        println!("valgrind is not installed: instruction gates skipped");
        return true;
    }
    let mut held = true;
    println!("instructions  allocations  limit  operation");
    for (name, limit, run) in CASES {
        let instructions = callgrind::per_round(name, ROUNDS);
        // The first of all rounds may make room that is then kept.
        run(5_000);
        let allocations = allocations(*run, 60_000) - allocations(*run, 30_000);
        let kept = limit.is_none_or(|limit| instructions <= limit && allocations == 0);
        held &= kept;
        let limit = limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        let mark = if kept { "" } else { "  BROKEN" };
        println!("{instructions:>12.1}  {allocations:>11}  {limit:>5}  {name}{mark}");
    }
    held
}

pub(super) fn run(wanted: &str, rounds: u64) {
    let (.., run) = CASES.iter().find(|(name, ..)| *name == wanted).expect("a case");
    run(rounds);
}

fn allocations(run: fn(u64), rounds: u64) -> u64 {
    allocation_counter::measure(|| run(rounds)).count_total
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future);
}
