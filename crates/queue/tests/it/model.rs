//! Random steps, compared with a model: a sorted list of what should be in the queue.

use std::task::Poll;

use outbound_queue::{Lease, Pop, Push, Queue};
use proptest::prelude::*;

use crate::support::{Spawned, on_every_flavour};

#[derive(Debug, Clone)]
enum Step {
    TryPush(u32),
    TryPop,
    Lease,
    Done(usize),
    PutBack(usize),
    Push(u32),
    Pop,
    DropPush(usize),
    DropPop(usize),
    Close,
    TakeAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..40u32).prop_map(Step::TryPush),
        4 => Just(Step::TryPop),
        3 => Just(Step::Lease),
        2 => (0..4usize).prop_map(Step::Done),
        2 => (0..4usize).prop_map(Step::PutBack),
        4 => (0..40u32).prop_map(Step::Push),
        4 => Just(Step::Pop),
        1 => (0..4usize).prop_map(Step::DropPush),
        1 => (0..4usize).prop_map(Step::DropPop),
        1 => prop_oneof![8 => Just(Step::TakeAll), 1 => Just(Step::Close)],
    ]
}

/// The items, each with its arrival and its first lease. The next item to be taken is the lowest by `key`.
struct Model {
    flavour: &'static str,
    items: Vec<Entry>,
    arrivals: i64,
    leases: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    item: u32,
    arrival: i64,
    ticket: Option<i64>,
}

impl Model {
    fn key(&self, entry: &Entry) -> (u32, i64, i64) {
        let is_ranked = matches!(self.flavour, "priority" | "priority, heap" | "aging" | "by key");
        let rank = if is_ranked { entry.item / 10 } else { 0 };
        let arrival = if self.flavour == "lifo" { -entry.arrival } else { entry.arrival };
        entry.ticket.map_or((rank, i64::MAX, arrival), |ticket| (rank, ticket, 0))
    }

    fn push(&mut self, item: u32) {
        self.items.push(Entry { item, arrival: self.arrivals, ticket: None });
        self.arrivals += 1;
    }

    fn pop(&mut self) -> Option<Entry> {
        let first = (0..self.items.len()).min_by_key(|&i| self.key(&self.items[i]))?;
        Some(self.items.remove(first))
    }

    fn lease(&mut self) -> Option<Entry> {
        let mut entry = self.pop()?;
        if entry.ticket.is_none() {
            entry.ticket = Some(self.leases);
            self.leases += 1;
        }
        Some(entry)
    }
}

/// The item, the number of wake-ups that were answered by a poll, and the push.
type Pushing<'a, K> = (u32, usize, Spawned<Push<'a, u32, K>>);

/// Polls the tasks that were woken until there is none, and compares what comes out with the model.
fn run_woken<K: Ord>(
    model: &mut Model,
    pushes: &mut Vec<Pushing<'_, K>>,
    pops: &mut Vec<(usize, Spawned<Pop<'_, u32, K>>)>,
) {
    loop {
        if let Some(i) = pushes.iter().position(|(_, seen, push)| push.wakes() > *seen) {
            pushes[i].1 = pushes[i].2.wakes();
            match pushes[i].2.poll() {
                Poll::Ready(Ok(())) => model.push(pushes.remove(i).0),
                Poll::Ready(Err(error)) => assert_eq!(error.into_inner(), pushes.remove(i).0),
                Poll::Pending => {}
            }
        } else if let Some(i) = pops.iter().position(|(seen, pop)| pop.wakes() > *seen) {
            pops[i].0 = pops[i].1.wakes();
            if let Poll::Ready(item) = pops[i].1.poll() {
                drop(pops.remove(i));
                assert_eq!(item, model.pop().map(|entry| entry.item));
            }
        } else {
            return;
        }
    }
}

fn check<K: Ord>(flavour: &'static str, queue: &Queue<u32, K>, steps: &[Step]) {
    let mut model = Model { flavour, items: Vec::new(), arrivals: 0, leases: 0 };
    let mut leases: Vec<(Entry, u32, Lease<u32, K>)> = Vec::new();
    let mut pushes: Vec<Pushing<'_, K>> = Vec::new();
    let mut pops: Vec<(usize, Spawned<Pop<'_, u32, K>>)> = Vec::new();
    for step in steps {
        match *step {
            Step::TryPush(item) => {
                let room = queue.capacity() - model.items.len() - leases.len();
                let taken = queue.try_push(item).is_ok();
                assert_eq!(taken, !queue.is_closed() && room > 0 && pushes.is_empty());
                if taken {
                    model.push(item);
                }
            }
            Step::TryPop => {
                assert_eq!(queue.try_pop().ok(), model.pop().map(|entry| entry.item));
            }
            Step::Lease => {
                let lease = queue.try_lease().ok();
                let entry = model.lease();
                assert_eq!(lease.as_deref().copied(), entry.map(|entry| entry.item));
                if let (Some(lease), Some(entry)) = (lease, entry) {
                    leases.push((entry, lease.deliveries(), lease));
                }
            }
            Step::Done(i) if i < leases.len() => leases.remove(i).2.done(),
            Step::PutBack(i) if i < leases.len() => {
                let (entry, _, lease) = leases.remove(i);
                drop(lease);
                model.items.push(entry);
            }
            Step::Push(item) => {
                let mut push = Spawned::new(queue.push(item));
                match push.poll() {
                    Poll::Ready(Ok(())) => model.push(item),
                    Poll::Ready(Err(error)) => {
                        assert_eq!((queue.is_closed(), error.into_inner()), (true, item));
                    }
                    Poll::Pending => pushes.push((item, 0, push)),
                }
            }
            Step::Pop => {
                let mut pop = Spawned::new(queue.pop());
                match pop.poll() {
                    Poll::Ready(item) => assert_eq!(item, model.pop().map(|entry| entry.item)),
                    Poll::Pending => pops.push((0, pop)),
                }
            }
            Step::DropPush(i) if i < pushes.len() => drop(pushes.remove(i)),
            Step::DropPop(i) if i < pops.len() => drop(pops.remove(i)),
            Step::Close => queue.close(),
            Step::TakeAll => {
                let expected: Vec<u32> = std::iter::from_fn(|| model.pop().map(|entry| entry.item)).collect();
                assert_eq!(queue.take_all(), expected);
            }
            Step::Done(_) | Step::PutBack(_) | Step::DropPush(_) | Step::DropPop(_) => {}
        }
        run_woken(&mut model, &mut pushes, &mut pops);
        // No task waits for an item that is there, and all counts are right.
        assert_eq!((queue.len(), queue.leased()), (model.items.len(), leases.len()));
        assert_eq!((queue.waiting_to_push(), queue.waiting_to_pop()), (pushes.len(), pops.len()));
        assert!(pushes.is_empty() || queue.unfinished() == queue.capacity());
        assert!(pops.is_empty() || queue.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn behaves_like_a_sorted_list(capacity in 1..6usize, steps in prop::collection::vec(step(), 0..80)) {
        on_every_flavour!(capacity, |name, queue| { check(name, &queue, &steps); });
    }
}
