//! What becomes of those who wait: of an item when its receiver gives up, of a wake-up when nobody takes it.
//!
//! Futures are polled by hand, by tasks that count how often they are woken: each answer is the same every time.

// long: one probe for each contract and queue, side by side, so that they can be compared

use std::{
    mem,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::channels::*;
use crate::{allocations, case::runtime, output};

const ROWS: [&str; 21] = [
    "dropped pending get keeps the item",
    "dropped pending put is never delivered",
    "put dropped before its first poll drops its item",
    "dropped woken get passes the wake on",
    "dropped woken put passes the wake on",
    "get re-polled from another task wakes that one",
    "put re-polled from another task wakes that one",
    "an item that a woken get never comes for can be had",
    "wakes for 1 put, 100 waiting gets",
    "wakes for 1 get, 100 waiting puts",
    "wakes at once for 100 puts, 100 waiting gets",
    "of 100 waiting gets, end when it closes",
    "a woken get is passed by a newcomer's",
    "a woken put is passed by a newcomer's",
    "the forms that do not wait pass a woken get, put",
    "equals come out in their order",
    "always ready, it lets others run after",
    "allocations: get that waits",
    "allocations: put that waits",
    "allocations: put and get that need not wait",
    "bytes: get, put of 8 bytes",
];

pub(super) fn report() {
    let columns = [
        column::<Fifo>(),
        column::<Leased>(),
        column::<Priority>(),
        column::<Keyed>(),
        column::<AsyncChannel>(),
        column::<Flume>(),
        column::<Kanal>(),
        column::<Crossfire>(),
        column::<CrossfireMpsc>(),
        column::<Mpsc>(),
        column::<SharedMpsc>(),
        column::<Thingbuf>(),
        column::<Loole>(),
        column::<Deadqueue>(),
        column::<PriorityChannel>(),
        column::<HeapAndSemaphores>(),
    ];
    println!("### queue/probes\n");
    println!(
        "At capacity 1, where nothing else is said; n/a where there is but one consumer, or no way to close.\n"
    );
    println!("| | {} |", columns.each_ref().map(|(name, _)| *name).join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    for (row, text) in ROWS.into_iter().enumerate() {
        println!("| {text} | {} |", columns.each_ref().map(|(_, answers)| answers[row].as_str()).join(" | "));
    }
    println!();
    for (name, answers) in &columns {
        for (question, answer) in ROWS.into_iter().zip(answers) {
            output::contract("queue/probes", name, question, answer);
        }
    }
}

fn column<C: Channel<u64> + Channel<Arc<()>>>() -> (&'static str, [String; ROWS.len()]) {
    let answers = [
        Some(dropped_get::<C>()),
        Some(dropped_put::<C>()),
        Some(unpolled_put::<C>()),
        dropped_woken_get::<C>(),
        Some(dropped_woken_put::<C>()),
        Some(moved_get::<C>()),
        Some(moved_put::<C>()),
        forgotten_get::<C>(),
        wakes_of_puts::<C>(1),
        Some(wakes_of_a_get::<C>()),
        wakes_of_puts::<C>(100),
        closing::<C>(),
        passed_get::<C>(),
        Some(passed_put::<C>()),
        passed_at_once::<C>(),
        Some(order_of_equals::<C>()),
        Some(gives_way::<C>()),
        Some(allocations_of_gets::<C>()),
        Some(allocations_of_puts::<C>()),
        Some(allocations_of_pairs::<C>()),
        Some(sizes::<C>()),
    ];
    (<C as Channel<u64>>::NAME, answers.map(|answer| answer.unwrap_or_else(|| "n/a".to_owned())))
}

fn dropped_get<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = C::new(1);
    let get = Parked::new(get::<C>(&mut receiver));
    assert!(C::try_send(&sender, 1));
    drop(get);
    verdict(C::try_receive(&mut receiver) == Some(1), "LOST")
}

fn dropped_put<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = full::<C>();
    let put = Parked::new(C::send(&sender, 1));
    assert_eq!(C::try_receive(&mut receiver), Some(0));
    drop(put);
    verdict(C::try_receive(&mut receiver).is_none(), "DELIVERED")
}

fn unpolled_put<C: Channel<Arc<()>>>() -> String {
    let (sender, _receiver) = C::new(1);
    let item = Arc::new(());
    drop(C::send(&sender, Arc::clone(&item)));
    verdict(Arc::strong_count(&item) == 1, "LEAKED")
}

fn dropped_woken_get<C: Channel<u64>>() -> Option<String> {
    let (sender, mut receiver) = C::new(1);
    let mut other = C::another(&receiver)?;
    let first = Parked::new(get::<C>(&mut receiver));
    let mut second = Parked::new(get::<C>(&mut other));
    assert!(C::try_send(&sender, 1));
    drop(first);
    let passed_on = second.wakes() > 0 && second.poll().is_ready();
    Some(verdict(passed_on, "ASLEEP"))
}

fn dropped_woken_put<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = full::<C>();
    let first = Parked::new(C::send(&sender, 1));
    let mut second = Parked::new(C::send(&sender, 2));
    assert_eq!(C::try_receive(&mut receiver), Some(0));
    drop(first);
    if second.wakes() > 0 && second.poll().is_ready() {
        return "yes".to_owned();
    }
    // Where the first was delivered all the same, its place is free once that is taken.
    let delivered = C::try_receive(&mut receiver) == Some(1);
    let woken = second.wakes() > 0 && second.poll().is_ready();
    if delivered && woken { "no wake: DELIVERED".to_owned() } else { "ASLEEP".to_owned() }
}

fn moved_get<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = C::new(1);
    let mut get = Parked::new(get::<C>(&mut receiver));
    let old = mem::take(&mut get.task);
    assert!(get.poll().is_pending());
    assert!(C::try_send(&sender, 1));
    moved(&old, &get.task)
}

fn moved_put<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = full::<C>();
    let mut put = Parked::new(C::send(&sender, 1));
    let old = mem::take(&mut put.task);
    assert!(put.poll().is_pending());
    assert_eq!(C::try_receive(&mut receiver), Some(0));
    moved(&old, &put.task)
}

fn moved(old: &Arc<Task>, new: &Arc<Task>) -> String {
    match (old.wakes(), new.wakes()) {
        (0, 1) => "yes",
        (_, 0) => "NO",
        _ => "both",
    }
    .to_owned()
}

fn forgotten_get<C: Channel<u64>>() -> Option<String> {
    let (sender, mut receiver) = C::new(1);
    let mut other = C::another(&receiver)?;
    let deaf = Parked::new(get::<C>(&mut receiver));
    assert!(C::try_send(&sender, 1));
    mem::forget(deaf);
    let got = Parked::unpolled(get::<C>(&mut other)).poll().is_ready();
    Some(verdict(got, "stranded"))
}

fn wakes_of_puts<C: Channel<u64>>(puts: usize) -> Option<String> {
    let (sender, receiver) = C::new(100);
    let mut receivers = a_hundred::<C>(&receiver)?;
    let gets: Vec<_> = receivers.iter_mut().map(|receiver| Parked::new(get::<C>(receiver))).collect();
    for _ in 0..puts {
        assert!(C::try_send(&sender, 1));
    }
    Some(gets.iter().map(Parked::wakes).sum::<usize>().to_string())
}

fn wakes_of_a_get<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = full::<C>();
    let puts: Vec<_> = (0..100).map(|_| Parked::new(C::send(&sender, 1))).collect();
    assert_eq!(C::try_receive(&mut receiver), Some(0));
    puts.iter().map(Parked::wakes).sum::<usize>().to_string()
}

/// As an executor does: only those are polled that have been woken.
fn closing<C: Channel<u64>>() -> Option<String> {
    let (sender, receiver) = C::new(1);
    let mut receivers = a_hundred::<C>(&receiver).filter(|_| C::CLOSES)?;
    let mut gets: Vec<_> =
        receivers.iter_mut().map(|receiver| (0, Parked::new(get::<C>(receiver)))).collect();
    C::close(sender);
    while let Some(woken) = gets.iter().position(|(seen, get)| get.wakes() > *seen) {
        let (seen, get) = &mut gets[woken];
        *seen = get.wakes();
        if get.poll().is_ready() {
            drop(gets.remove(woken));
        }
    }
    Some((100 - gets.len()).to_string())
}

fn passed_get<C: Channel<u64>>() -> Option<String> {
    let (sender, mut receiver) = C::new(1);
    let mut other = C::another(&receiver)?;
    let mut waiting = Parked::new(get::<C>(&mut receiver));
    let mut passes = 0;
    loop {
        assert!(C::try_send(&sender, 1) || waiting.wakes() > 0);
        if passes == MANY || Parked::unpolled(get::<C>(&mut other)).poll().is_pending() {
            let got = waiting.wakes() > 0 && waiting.poll().is_ready();
            return Some(passes_text(passes, got));
        }
        passes += 1;
    }
}

fn passed_put<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = full::<C>();
    let mut waiting = Parked::new(C::send(&sender, 1));
    let mut passes = 0;
    loop {
        assert!(C::try_receive(&mut receiver).is_some());
        if passes == MANY || Parked::unpolled(C::send(&sender, 2)).poll().is_pending() {
            let done = waiting.wakes() > 0 && waiting.poll().is_ready();
            return passes_text(passes, done);
        }
        passes += 1;
    }
}

/// So many passes are without bound.
const MANY: usize = 1_000;

fn passes_text(passes: usize, served: bool) -> String {
    match (passes, served) {
        (0, true) => "never".to_owned(),
        (MANY, _) => "without bound".to_owned(),
        (_, true) => format!("{passes} times"),
        (_, false) => format!("{passes} times, and then NOBODY is served"),
    }
}

fn passed_at_once<C: Channel<u64>>() -> Option<String> {
    let word = |passed| if passed { "yes" } else { "no" };
    let (sender, mut receiver) = C::new(1);
    let mut other = C::another(&receiver)?;
    let get = Parked::new(get::<C>(&mut receiver));
    assert!(C::try_send(&sender, 1));
    let get_passed = C::try_receive(&mut other).is_some();
    drop(get);
    let (sender, mut receiver) = full::<C>();
    let _put = Parked::new(C::send(&sender, 1));
    assert_eq!(C::try_receive(&mut receiver), Some(0));
    let put_passed = C::try_send(&sender, 2);
    Some(format!("{}, {}", word(get_passed), word(put_passed)))
}

/// In a class of its own, where there are any.
fn order_of_equals<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = C::new(8);
    let items: Vec<u64> = (0..8).map(|number| 8 * number).collect();
    assert!(items.iter().all(|item| C::try_send(&sender, *item)));
    let order: Vec<u64> = std::iter::from_fn(|| C::try_receive(&mut receiver)).collect();
    verdict(order == items, "NO")
}

/// How many items a task takes, always ready, before another one runs.
fn gives_way<C: Channel<u64>>() -> String {
    const ITEMS: usize = 10_000;
    let taken_before = runtime().block_on(async {
        let (sender, mut receiver) = C::new(ITEMS);
        for _ in 0..ITEMS {
            assert!(C::try_send(&sender, 0));
        }
        let taken = Arc::new(AtomicUsize::new(0));
        let consumer = tokio::spawn({
            let taken = Arc::clone(&taken);
            async move {
                for _ in 0..ITEMS {
                    C::receive(&mut receiver).await.item();
                    taken.fetch_add(1, SeqCst);
                }
            }
        });
        let other = tokio::spawn(async move { taken.load(SeqCst) });
        consumer.await.expect("it does not panic");
        other.await.expect("it does not panic")
    });
    if taken_before == ITEMS { "all items".to_owned() } else { taken_before.to_string() }
}

fn allocations_of_gets<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = C::new(1);
    per_operation(|cx| {
        let mut get = pin!(get::<C>(&mut receiver));
        assert!(get.as_mut().poll(cx).is_pending());
        assert!(C::try_send(&sender, 1));
        assert!(get.poll(cx).is_ready());
    })
}

fn allocations_of_puts<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = full::<C>();
    per_operation(|cx| {
        let mut put = pin!(C::send(&sender, 0));
        assert!(put.as_mut().poll(cx).is_pending());
        assert!(C::try_receive(&mut receiver).is_some());
        assert!(put.poll(cx).is_ready());
    })
}

fn allocations_of_pairs<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = C::new(64);
    per_operation(|cx| {
        assert!(pin!(C::send(&sender, 0)).poll(cx).is_ready());
        assert!(pin!(get::<C>(&mut receiver)).poll(cx).is_ready());
    })
}

/// Once there is room for whatever is kept.
fn per_operation(mut run: impl FnMut(&mut Context<'_>)) -> String {
    const TIMES: u64 = 100;
    let mut cx = Context::from_waker(Waker::noop());
    (0..TIMES).for_each(|_| run(&mut cx));
    let (count, _) = allocations::count(|| (0..TIMES).for_each(|_| run(&mut cx)));
    let each = count as f64 / TIMES as f64;
    // What is kept grows now and then, at a cost that is none in the long run.
    format!("{each:.1}")
}

fn sizes<C: Channel<u64>>() -> String {
    let (sender, mut receiver) = C::new(1);
    let (put, get) = (size_of_val(&C::send(&sender, 1)), size_of_val(&C::receive(&mut receiver)));
    format!("{get}, {put}")
}

/// A lease that is dropped would be none.
async fn get<C: Channel<u64>>(receiver: &mut C::Receiver) -> Option<u64> {
    C::receive(receiver).await.item()
}

fn full<C: Channel<u64>>() -> (C::Sender, C::Receiver) {
    let (sender, receiver) = C::new(1);
    assert!(C::try_send(&sender, 0));
    (sender, receiver)
}

fn a_hundred<C: Channel<u64>>(receiver: &C::Receiver) -> Option<Vec<C::Receiver>> {
    (0..100).map(|_| C::another(receiver)).collect()
}

fn verdict(holds: bool, otherwise: &str) -> String {
    if holds { "yes" } else { otherwise }.to_owned()
}

/// A future and the task that polls it.
struct Parked<F> {
    future: Pin<Box<F>>,
    task: Arc<Task>,
}

/// It counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl<F: Future> Parked<F> {
    fn new(future: F) -> Self {
        let mut this = Self::unpolled(future);
        assert!(this.poll().is_pending(), "there is nothing to wait for");
        this
    }

    fn unpolled(future: F) -> Self {
        Self { future: Box::pin(future), task: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.task));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.task.wakes()
    }
}

impl Task {
    fn wakes(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}
