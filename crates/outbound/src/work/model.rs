//! The state of all work. Pure: events change it, and nothing here waits or writes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use outbound_journal::Position;
use tokio::time::Instant;

use super::{
    Ambiguous, Answer, Counts, Lease, Pushed,
    event::{Data, Event, State},
};

/// All work of a store. Items are numbered in the order in which they were pushed.
#[derive(Default)]
pub(crate) struct Model {
    items: Vec<Item>,
    by_id: HashMap<Arc<str>, usize>,
    /// Items that are ready and were not sent. In `ambiguous`: ready and may have been sent. In `done`: done and not
    /// exported.
    ready: BTreeSet<usize>,
    ambiguous: BTreeSet<usize>,
    done: BTreeSet<usize>,
    /// Leases that are held, by number.
    leases: BTreeMap<u64, HeldLease>,
    /// When each lease expires.
    expiries: BTreeSet<(Instant, u64)>,
    pub(crate) last_lease: u64,
    /// The bytes that a journal of this state would take, roughly.
    pub(crate) size: usize,
}

struct Item {
    id: Arc<str>,
    deliveries: u32,
    /// An earlier holder may have sent it.
    ambiguous: bool,
    state: State,
    lease: Option<u64>,
}

#[derive(Clone, Copy)]
struct HeldLease {
    item: usize,
    /// `None` for a lease that was read from a journal: its holder is gone.
    until: Option<Instant>,
    sent: bool,
}

impl Item {
    fn size(&self) -> usize {
        let bytes = match &self.state {
            State::Open(data) | State::Done(data) => data.len(),
            State::Exported => 0,
        };
        32 + self.id.len() + bytes
    }

    /// Changes the state. Returns the size before and after.
    fn set_state(&mut self, state: State) -> (usize, usize) {
        let before = self.size();
        self.state = state;
        (before, self.size())
    }
}

impl Model {
    /// Applies an event. Returns `false` if the event names work or a lease that does not exist.
    pub(crate) fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Item { id, deliveries, ambiguous, state } => {
                self.add(Item { id, deliveries, ambiguous, state, lease: None })
            }
            Event::Claimed { lease, item } => self.claimed(lease, item),
            Event::Sent { lease } => self.leases.get_mut(&lease).map(|held| held.sent = true).is_some(),
            Event::Finished { lease, answer, .. } => self.finished(lease, answer),
            Event::Released { lease, sent } => self.released(lease, sent),
            Event::Exported { item } => self.exported(item),
            Event::Begin { last_lease } => {
                self.last_lease = last_lease;
                true
            }
        }
    }

    fn add(&mut self, item: Item) -> bool {
        let number = self.items.len();
        match item.state {
            State::Open(_) if item.ambiguous => self.ambiguous.insert(number),
            State::Open(_) => self.ready.insert(number),
            State::Done(_) => self.done.insert(number),
            State::Exported => true,
        };
        self.size += item.size();
        let new = self.by_id.insert(item.id.clone(), number).is_none();
        self.items.push(item);
        new
    }

    fn claimed(&mut self, lease: u64, number: usize) -> bool {
        let was_ready = self.ready.remove(&number) || self.ambiguous.remove(&number);
        let Some(item) = self.items.get_mut(number).filter(|_| was_ready) else { return false };
        item.deliveries = item.deliveries.saturating_add(1);
        item.lease = Some(lease);
        self.last_lease = self.last_lease.max(lease);
        self.leases.insert(lease, HeldLease { item: number, until: None, sent: false }).is_none()
    }

    fn finished(&mut self, lease: u64, answer: Data) -> bool {
        let Some((held, item)) = self.end(lease) else { return false };
        let (before, after) = item.set_state(State::Done(answer));
        self.size = self.size - before + after;
        self.done.insert(held.item)
    }

    fn released(&mut self, lease: u64, sent: bool) -> bool {
        let Some((held, item)) = self.end(lease) else { return false };
        item.ambiguous |= sent;
        if item.ambiguous { self.ambiguous.insert(held.item) } else { self.ready.insert(held.item) }
    }

    fn end(&mut self, lease: u64) -> Option<(HeldLease, &mut Item)> {
        let held = self.leases.remove(&lease)?;
        if let Some(until) = held.until {
            self.expiries.remove(&(until, lease));
        }
        let item = self.items.get_mut(held.item)?;
        item.lease = None;
        Some((held, item))
    }

    fn exported(&mut self, number: usize) -> bool {
        let Some(item) = self.items.get_mut(number).filter(|_| self.done.remove(&number)) else {
            return false;
        };
        let (before, after) = item.set_state(State::Exported);
        self.size = self.size - before + after;
        true
    }

    /// The state of the work with this id. `None` if there is none.
    pub(crate) fn find(&self, id: &str) -> Option<Pushed> {
        match self.items.get(*self.by_id.get(id)?)?.state {
            State::Open(_) => Some(Pushed::Unfinished),
            State::Done(_) | State::Exported => Some(Pushed::Done),
        }
    }

    /// The next item to claim.
    pub(crate) fn next(&self, ambiguous: Ambiguous) -> Option<usize> {
        let perhaps_sent = self.ambiguous.first().filter(|_| ambiguous == Ambiguous::Take);
        self.ready.first().into_iter().chain(perhaps_sent).min().copied()
    }

    /// A lease that was just claimed, for its holder. Its payload is filled in later.
    pub(crate) fn lease(&self, number: u64) -> Option<(Lease, Data)> {
        let item = self.items.get(self.leases.get(&number)?.item)?;
        let State::Open(payload) = &item.state else { return None };
        let lease = Lease {
            id: item.id.clone(),
            payload: Bytes::new(),
            number,
            deliveries: item.deliveries,
            may_have_been_sent: item.ambiguous,
        };
        Some((lease, payload.clone()))
    }

    /// Whether the holder of a lease has reported that it sends. `None` if the lease is not held.
    pub(crate) fn is_sent(&self, lease: u64) -> Option<bool> {
        self.leases.get(&lease).map(|held| held.sent)
    }

    /// Sets the time at which a lease expires. `false` if it is not held.
    pub(crate) fn expires(&mut self, lease: u64, at: Instant) -> bool {
        let Some(held) = self.leases.get_mut(&lease) else { return false };
        if let Some(before) = held.until.replace(at) {
            self.expiries.remove(&(before, lease));
        }
        self.expiries.insert((at, lease))
    }

    /// A lease that has expired, and whether its holder has sent.
    pub(crate) fn expired(&self, now: Instant) -> Option<(u64, bool)> {
        let (_, lease) = *self.expiries.first().filter(|(until, _)| *until <= now)?;
        Some((lease, self.is_sent(lease)?))
    }

    /// Leases that were read from a journal, and whether their holders had sent.
    pub(crate) fn orphans(&self) -> Vec<(u64, bool)> {
        let found = self.leases.iter().filter(|(_, held)| held.until.is_none());
        found.map(|(lease, held)| (*lease, held.sent)).collect()
    }

    /// The item with this id, if its answer can be dropped.
    pub(crate) fn exportable(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied().filter(|number| self.done.contains(number))
    }

    /// Answers whose bytes are filled in later.
    pub(crate) fn answers(&self, most: usize) -> Vec<(Answer, Data)> {
        let items = self.done.iter().take(most).filter_map(|number| self.items.get(*number));
        let answer = |item: &Item| match &item.state {
            State::Done(data) => Some((Answer { id: item.id.clone(), bytes: Bytes::new() }, data.clone())),
            _ => None,
        };
        items.filter_map(answer).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        let open = self.ready.len() + self.ambiguous.len() + self.leases.len();
        Counts {
            ready: self.ready.len(),
            ambiguous: self.ambiguous.len(),
            claimed: self.leases.len(),
            done: self.done.len(),
            exported: self.items.len() - open - self.done.len(),
        }
    }

    /// The shortest list of events that leads to this state. The items follow the first event, in order.
    pub(crate) fn history(&self) -> impl Iterator<Item = Event> {
        let items = self.items.iter().map(|item| Event::Item {
            id: item.id.clone(),
            deliveries: item.deliveries - u32::from(item.lease.is_some()),
            ambiguous: item.ambiguous,
            state: item.state.clone(),
        });
        let leases = self.leases.iter().flat_map(|(lease, held)| {
            let claimed = Event::Claimed { lease: *lease, item: held.item };
            [Some(claimed), held.sent.then_some(Event::Sent { lease: *lease })].into_iter().flatten()
        });
        std::iter::once(Event::Begin { last_lease: self.last_lease }).chain(items).chain(leases)
    }

    /// The history was written to these positions. The data of the items is there from now on.
    pub(crate) fn moved(&mut self, positions: &[Position]) {
        for (item, position) in self.items.iter_mut().zip(positions.iter().skip(1)) {
            if let State::Open(data) | State::Done(data) = &mut item.state {
                data.move_to_journal(*position);
            }
        }
    }
}
