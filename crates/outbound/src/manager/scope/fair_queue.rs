//! The order in which the requests of one model ask for its limits, where some of them say a priority or a tenant.

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

/// A request that has waited so long counts as one of the next higher priority.
const AGEING: Duration = Duration::from_secs(30);

/// Who waits for the limits, in class.
///
/// Requests of the highest priority come first. A waiting one counts as one priority higher for each [`AGEING`] that it has
/// waited, up to the highest that waits. Between requests of the same, tenants share the limits by cost, however many
/// requests each has: this is start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996). Each request has a tag, the
/// cost its tenant had asked for before it, and the lowest tag is next.
///
/// One at a time has the *turn*: it asks the limiter, and passes the turn on when it has its answer. It loses the turn to one
/// that comes later and goes before it. So while nobody says
/// a priority or a tenant, the limiter's own order holds, and nobody is here.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    /// Somebody has said a priority or a tenant.
    used: AtomicBool,
    state: Mutex<State>,
}

/// Where a request stands: kept until it is admitted, so that it does not lose its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuePosition {
    priority: i32,
    tag: u64,
    number: u64,
    since: Instant,
}

/// What a request says of its class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueClass<'a> {
    pub(crate) priority: i32,
    pub(crate) tenant: Option<&'a str>,
}

/// A request in the line. Dropping it leaves the line, and passes on the turn.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    queue: &'a FairQueue,
    position: QueuePosition,
}

#[derive(Debug, Default)]
struct State {
    /// By priority, then by tag and number.
    waiting: BTreeMap<i32, BTreeMap<(u64, u64), Entry>>,
    /// The tag that the next request of each tenant gets at least.
    tenants: HashMap<Option<String>, u64>,
    /// The tag of the request that had the turn last.
    virtual_time: u64,
    /// Who has the turn: its priority, tag and number.
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
    /// Takes note of an class. Says whether it is the first one: then those that wait already have to ask again, and get in
    /// line.
    pub(crate) fn enable(&self, class: QueueClass<'_>) -> bool {
        !class.is_default() && !self.used.swap(true, Ordering::Relaxed)
    }

    /// Whether a request has to stand in line, and where: its place is made at the first call.
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

    /// Whether somebody waits or has the turn.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.turn.is_none() && state.waiting.is_empty()
    }

    /// Gets in line.
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
    /// Returns when it has the turn.
    pub(crate) async fn turn(&self) {
        poll_fn(|cx| self.poll_turn(cx, true)).await;
    }

    /// Returns when it has the turn no more.
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
            // Nobody waits, so nobody is owed anything.
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

    /// Gives the turn to the first, and takes it from whoever has it and is not.
    fn pass_turn(&mut self, now: Instant) {
        let Some(highest) = self.waiting.keys().next_back().copied() else { return };
        let heads = self.waiting.iter_mut().filter_map(|(priority, level)| {
            let ((tag, number), entry) = level.iter_mut().next()?;
            let aged = now.saturating_duration_since(entry.since).as_secs() / AGEING.as_secs();
            let aged = i32::try_from(aged).unwrap_or(i32::MAX);
            Some((priority.saturating_add(aged).min(highest), (*priority, *tag, *number), entry))
        });
        let next = heads.min_by_key(|(aged, place, _)| (Reverse(*aged), place.1, place.2));
        let Some((_, place, entry)) = next.filter(|(_, place, _)| self.turn != Some(*place)) else { return };
        if let Some(waker) = entry.waker.take() {
            waker.wake();
        }
        self.virtual_time = self.virtual_time.max(place.1);
        let previous = self.turn.replace(place).and_then(|previous| self.entry(previous));
        if let Some(waker) = previous.and_then(|entry| entry.waker.take()) {
            waker.wake();
        }
    }
}

#[cfg(test)]
#[path = "fair_queue_tests.rs"]
mod tests;
