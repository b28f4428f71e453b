//! Queues: one task that need not wait, many that do, and what becomes of those who give up.

mod channels;
mod probes;
mod transfers;

use std::{collections::VecDeque, hint::black_box, sync::Mutex};

use tokio::time::Instant;

use self::channels::*;
use crate::case::{Case, Group, Kind, runtime};

/// Enough for a pair: nobody waits.
const CAPACITY: usize = 64;

/// What a priority queue holds while its pairs are counted.
const BACKLOG: usize = 10_000;

pub(crate) fn groups() -> Vec<Group> {
    let mut groups = vec![
        Group {
            name: "queue/pair, 8 bytes",
            about: "One task sends an item and receives it, capacity 64. 'future B' is the send future.",
            rounds: 2_000,
            is_counted: false,
            cases: pairs::<u64>(),
        },
        Group {
            name: "queue/pair, 64 bytes",
            about: "As before.",
            rounds: 2_000,
            is_counted: false,
            cases: pairs::<[u64; 8]>(),
        },
        Group {
            name: "queue/priority pair",
            about: "As before, in eight classes, 8 bytes.",
            rounds: 2_000,
            is_counted: false,
            cases: priority_pairs(0),
        },
        Group {
            name: "queue/priority pair, 10,000 waiting",
            about: "As before, with 10,000 items behind them.",
            rounds: 2_000,
            is_counted: false,
            cases: priority_pairs(BACKLOG),
        },
    ];
    groups.extend(transfers::on_one_thread());
    groups
}

pub(crate) fn also() {
    transfers::on_two_threads();
    probes::report();
}

fn pairs<T: Item>() -> Vec<Case> {
    vec![
        pair::<Fifo, T>(0).ours(),
        pair::<Leased, T>(0).ours(),
        pair::<AsyncChannel, T>(0),
        pair::<Flume, T>(0),
        pair::<Kanal, T>(0),
        pair::<Crossfire, T>(0),
        pair::<CrossfireMpsc, T>(0),
        pair::<Mpsc, T>(0),
        pair::<SharedMpsc, T>(0),
        pair::<Thingbuf, T>(0),
        pair::<Loole, T>(0),
        pair::<Deadqueue, T>(0),
        mutexed_deque::<T>().floor(),
    ]
}

fn priority_pairs(backlog: usize) -> Vec<Case> {
    vec![
        pair::<Priority, u64>(backlog).ours(),
        pair::<Keyed, u64>(backlog).ours(),
        pair::<PriorityChannel, u64>(backlog),
        pair::<HeapAndSemaphores, u64>(backlog),
    ]
}

/// A round sends and receives, awaited in a task.
fn pair<C: Channel<T>, T: Item>(backlog: usize) -> Case {
    case::<C, T>(move |rounds| {
        runtime().block_on(async {
            let (sender, mut receiver) = C::new(backlog + CAPACITY);
            for number in 0..backlog as u64 {
                // Of the last class, so that what is behind stays the same.
                assert!(C::try_send(&sender, T::numbered(8 * number + 7)));
            }
            let started = Instant::now();
            for number in 0..rounds {
                assert!(C::send(&sender, T::numbered(black_box(number))).await.accepted());
                assert!(black_box(C::receive(&mut receiver).await.item()).is_some());
            }
            started.elapsed()
        })
    })
}

/// What cannot wait, and does not need to.
fn mutexed_deque<T: Item>() -> Case {
    Case {
        name: "Mutex<VecDeque> (not async)",
        kind: Kind::Floor,
        size: 0,
        run: Box::new(|rounds| {
            let queue = Mutex::new(VecDeque::<T>::with_capacity(CAPACITY));
            let started = Instant::now();
            for number in 0..rounds {
                queue.lock().expect("nobody panics").push_back(T::numbered(black_box(number)));
                assert!(black_box(queue.lock().expect("nobody panics").pop_front()).is_some());
            }
            started.elapsed()
        }),
    }
}

/// Of a peer, unless it says otherwise. Its size is that of the future that sends.
fn case<C: Channel<T>, T: Item>(run: impl Fn(u64) -> std::time::Duration + 'static) -> Case {
    let (sender, _receiver) = C::new(1);
    let size = size_of_val(&C::send(&sender, T::default()));
    Case { name: C::NAME, kind: Kind::Peer, size, run: Box::new(run) }
}
