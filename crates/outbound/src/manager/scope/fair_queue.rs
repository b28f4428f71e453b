//! A fair queue: the order in which the requests of one model ask for its limits, by priority and tenant.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// After each such time a waiting request counts as one priority higher.
const AGEING: Duration = Duration::from_secs(30);

/// The requests that wait for the limits of a model, in order.
///
/// The highest priority comes first. A waiting request counts as one priority higher for each [`AGEING`] that it has
/// waited, but never higher than the highest one that waits. Among requests of equal priority, tenants share the limits
/// by cost, however many requests each has. This is start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996): each
/// request has a tag, the cost that its tenant asked for before it, and the lowest tag is next.
///
/// One request at a time has the *turn*. It asks the limiter, and passes on the turn when it has a reservation. It
/// loses the turn to a request that comes later and goes before it. The queue is empty until a request has a priority
/// or a tenant: until then the order of the limiter holds.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    /// A request with a priority or a tenant has come.
    used: AtomicBool,
    state: Mutex<State>,
}

/// The position of a request. The request keeps it until it is admitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuePosition {
    priority: i32,
    tag: u64,
    number: u64,
    since: Instant,
}

/// The priority and the tenant of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueClass<'a> {
    pub(crate) priority: i32,
    pub(crate) tenant: Option<&'a str>,
}

/// A request in the queue. Dropping it leaves the queue and passes on the turn.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    queue: &'a FairQueue,
    position: QueuePosition,
}

#[derive(Debug, Default)]
struct State {
    /// By priority, then by tag and number.
    waiting: BTreeMap<i32, BTreeMap<(u64, u64), Entry>>,
    /// The lowest tag that the next request of each tenant may get.
    tenants: HashMap<Option<String>, u64>,
    /// The tag of the last request that had the turn.
    virtual_time: u64,
    /// The priority, tag and number of the request that has the turn.
    turn: Option<(i32, u64, u64)>,
    numbers: u64,
}

#[derive(Debug)]
struct Entry {
    since: Instant,
    waker: Option<Waker>,
}

impl QueueClass<'_> {
    fn is_default(self) -> bool {
        self.priority == 0 && self.tenant.is_none()
    }
}

impl QueuePosition {
    fn key(&self) -> (i32, u64, u64) {
        (self.priority, self.tag, self.number)
    }
}

impl FairQueue {
    /// Starts to use the queue if this class is not the default one. Says whether it was not used before: then waiting
    /// requests have to ask again, and join the queue.
    pub(crate) fn enable(&self, class: QueueClass<'_>) -> bool {
        !class.is_default() && !self.used.swap(true, Ordering::Relaxed)
    }

    /// The position of a request, made at the first call. `None`: the queue is not used.
    pub(crate) fn position(
        &self,
        class: QueueClass<'_>,
        cost: u64,
        known: &mut Option<QueuePosition>,
        now: Instant,
    ) -> Option<QueuePosition> {
        if !self.used.load(Ordering::Relaxed) {
            return None;
        }
        Some(*known.get_or_insert_with(|| self.state.lock().assign(class, cost, now)))
    }

    /// Whether nobody waits or has the turn.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.turn.is_none() && state.waiting.is_empty()
    }

    /// Joins the queue.
    pub(crate) fn join(&self, position: QueuePosition, now: Instant) -> Waiter<'_> {
        let mut state = self.state.lock();
        let level = state.waiting.entry(position.priority).or_default();
        level.insert((position.tag, position.number), Entry { since: position.since, waker: None });
        state.pass_turn(now);
        drop(state);
        Waiter { queue: self, position }
    }
}

impl Waiter<'_> {
    /// Returns when this request has the turn.
    pub(crate) async fn turn(&self) {
        poll_fn(|cx| self.poll_turn(cx, true)).await;
    }

    /// Returns when this request has lost the turn.
    pub(crate) async fn turn_lost(&self) {
        poll_fn(|cx| self.poll_turn(cx, false)).await;
    }

    fn poll_turn(&self, cx: &mut Context<'_>, has_turn: bool) -> Poll<()> {
        let mut state = self.queue.state.lock();
        if (state.turn == Some(self.position.key())) == has_turn {
            return Poll::Ready(());
        }
        if let Some(entry) = state.entry(self.position.key()) {
            entry.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.leave(&self.position);
        if state.turn.is_none() {
            state.pass_turn(Instant::now());
        }
    }
}

impl State {
    fn assign(&mut self, class: QueueClass<'_>, cost: u64, now: Instant) -> QueuePosition {
        self.numbers += 1;
        if self.waiting.is_empty() {
            // With nobody waiting, no tenant has a claim from before.
            self.tenants.clear();
            self.virtual_time = 0;
        }
        let start = self.virtual_time;
        let next = self.tenants.entry(class.tenant.map(str::to_owned)).or_insert(start);
        let tag = (*next).max(start);
        *next = tag.saturating_add(cost.max(1));
        QueuePosition { priority: class.priority, tag, number: self.numbers, since: now }
    }

    fn entry(&mut self, (priority, tag, number): (i32, u64, u64)) -> Option<&mut Entry> {
        self.waiting.get_mut(&priority)?.get_mut(&(tag, number))
    }

    fn leave(&mut self, position: &QueuePosition) {
        if self.turn == Some(position.key()) {
            self.turn = None;
        }
        if let Some(level) = self.waiting.get_mut(&position.priority) {
            level.remove(&(position.tag, position.number));
            if level.is_empty() {
                self.waiting.remove(&position.priority);
            }
        }
    }

    /// Gives the turn to the first request. Another one that had it loses it.
    fn pass_turn(&mut self, now: Instant) {
        let Some(highest) = self.waiting.keys().next_back().copied() else { return };
        let heads = self.waiting.iter_mut().filter_map(|(priority, level)| {
            let ((tag, number), entry) = level.iter_mut().next()?;
            let aged = now.saturating_duration_since(entry.since).as_secs() / AGEING.as_secs();
            let aged = i32::try_from(aged).unwrap_or(i32::MAX);
            Some((priority.saturating_add(aged).min(highest), (*priority, *tag, *number), entry))
        });
        let next = heads.min_by_key(|(aged, key, _)| (Reverse(*aged), key.1, key.2));
        let Some((_, key, entry)) = next.filter(|(_, key, _)| self.turn != Some(*key)) else { return };
        if let Some(waker) = entry.waker.take() {
            waker.wake();
        }
        self.virtual_time = self.virtual_time.max(key.1);
        let previous = self.turn.replace(key).and_then(|previous| self.entry(previous));
        if let Some(waker) = previous.and_then(|entry| entry.waker.take()) {
            waker.wake();
        }
    }
}

#[cfg(test)]
#[path = "fair_queue_tests.rs"]
mod tests;
