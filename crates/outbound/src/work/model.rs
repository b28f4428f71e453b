//! The state of all work. Pure: events change it, and nothing here waits or writes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use outbound_journal::Position;
use tokio::time::Instant;

use super::{
    Ambiguous, Answer, Counts, Lease, Pushed,
    event::{self, Data, Event},
    place::Place,
};

/// All work of a store. Items are numbered in the order in which they were pushed.
#[derive(Default)]
pub(crate) struct Model {
    items: Vec<Item>,
    by_id: HashMap<Arc<str>, usize>,
    /// Items that are ready and were not sent, by rank. In `ambiguous`: ready and may have been sent.
    ready: BTreeSet<(i64, usize)>,
    ambiguous: BTreeSet<(i64, usize)>,
    /// Items that are done, and not exported. In `failed`: failed, exported or not.
    done: BTreeSet<usize>,
    failed: BTreeSet<usize>,
    /// Leases that are held, by number.
    leases: BTreeMap<u64, HeldLease>,
    /// When each lease expires.
    expiries: BTreeSet<(Instant, u64)>,
    pub(crate) last_lease: u64,
    /// When the last item was pushed, of those that still know it.
    pub(crate) last_pushed: u64,
    /// The bytes that a journal of this state would take, roughly.
    pub(crate) size: usize,
}

struct Item {
    id: Arc<str>,
    deliveries: u32,
    /// An earlier holder may have sent it.
    ambiguous: bool,
    place: Place,
    state: State,
    lease: Option<u64>,
}

enum State {
    /// With the payload.
    Open(Data),
    /// With the answer, until it is exported.
    Answered(Option<Data>),
    /// The answer is there until it is exported. The payload stays, so that the work can be tried again.
    Failed { payload: Data, answer: Option<Data> },
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
            State::Open(data) | State::Answered(Some(data)) => data.len(),
            State::Answered(None) => 0,
            State::Failed { payload, answer } => payload.len() + 32 + answer.as_ref().map_or(0, Data::len),
        };
        32 + self.id.len() + bytes
    }

    fn payload(&self) -> Option<&Data> {
        match &self.state {
            State::Open(payload) | State::Failed { payload, .. } => Some(payload),
            State::Answered(_) => None,
        }
    }
}

impl Model {
    /// Applies an event. Returns `false` if the event names work or a lease that does not exist.
    pub(crate) fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Item { id, deliveries, ambiguous, place, state } => {
                let state = match state {
                    event::State::Open(payload) => State::Open(payload),
                    event::State::Done(answer) => State::Answered(Some(answer)),
                    event::State::Exported => State::Answered(None),
                };
                self.add(Item { id, deliveries, ambiguous, place, state, lease: None })
            }
            Event::Claimed { lease, item } => self.claimed(lease, item),
            Event::Sent { lease } => self.leases.get_mut(&lease).map(|held| held.sent = true).is_some(),
            Event::Finished { lease, answer, .. } => self.finished(lease, answer),
            Event::Failed { item, answer } => self.failed(item, answer),
            Event::Released { lease, sent } => self.released(lease, sent),
            Event::Exported { item } => self.exported(item),
            Event::Retried => self.retried(),
            Event::Begin { last_lease } => {
                self.last_lease = last_lease;
                true
            }
        }
    }

    fn add(&mut self, item: Item) -> bool {
        let number = self.items.len();
        match item.state {
            State::Open(_) => {
                self.last_pushed = self.last_pushed.max(item.place.pushed);
                let ready = if item.ambiguous { &mut self.ambiguous } else { &mut self.ready };
                ready.insert((item.place.rank(), number));
            }
            State::Answered(Some(_)) => drop(self.done.insert(number)),
            State::Answered(None) | State::Failed { .. } => {}
        }
        self.size += item.size();
        let new = self.by_id.insert(item.id.clone(), number).is_none();
        self.items.push(item);
        new
    }

    fn claimed(&mut self, lease: u64, number: usize) -> bool {
        if !self.take(number) {
            return false;
        }
        let Some(item) = self.items.get_mut(number) else { return false };
        item.deliveries = item.deliveries.saturating_add(1);
        item.lease = Some(lease);
        self.last_lease = self.last_lease.max(lease);
        self.leases.insert(lease, HeldLease { item: number, until: None, sent: false }).is_none()
    }

    /// Takes an item out of those that are ready. `false` if it is not one of them.
    fn take(&mut self, number: usize) -> bool {
        let Some(item) = self.items.get(number) else { return false };
        let place = (item.place.rank(), number);
        self.ready.remove(&place) || self.ambiguous.remove(&place)
    }

    fn finished(&mut self, lease: u64, answer: Data) -> bool {
        let Some((held, _)) = self.end(lease) else { return false };
        self.set_state(held.item, State::Answered(Some(answer)));
        self.done.insert(held.item)
    }

    /// It was held, or, in a rewritten journal, is ready.
    fn failed(&mut self, number: usize, answer: Option<Data>) -> bool {
        let Some(Item { state: State::Open(payload), lease, .. }) = self.items.get(number) else {
            return false;
        };
        let (payload, lease, exported) = (payload.clone(), *lease, answer.is_none());
        let was_open = match lease {
            Some(lease) => self.end(lease).is_some(),
            None => self.take(number),
        };
        self.set_state(number, State::Failed { payload, answer });
        was_open && self.failed.insert(number) && (exported || self.done.insert(number))
    }

    fn released(&mut self, lease: u64, sent: bool) -> bool {
        let Some((held, item)) = self.end(lease) else { return false };
        item.ambiguous |= sent;
        let place = (item.place.rank(), held.item);
        if item.ambiguous { self.ambiguous.insert(place) } else { self.ready.insert(place) }
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
        let payload = match self.items.get(number).filter(|_| self.done.remove(&number)) {
            Some(Item { state: State::Answered(_), .. }) => None,
            Some(Item { state: State::Failed { payload, .. }, .. }) => Some(payload.clone()),
            _ => return false,
        };
        let state = match payload {
            None => State::Answered(None),
            Some(payload) => State::Failed { payload, answer: None },
        };
        self.set_state(number, state);
        true
    }

    fn retried(&mut self) -> bool {
        for number in std::mem::take(&mut self.failed) {
            self.done.remove(&number);
            let Some(item) = self.items.get_mut(number) else { return false };
            let State::Failed { payload, .. } = &item.state else { return false };
            let payload = payload.clone();
            item.ambiguous = false;
            self.ready.insert((item.place.rank(), number));
            self.set_state(number, State::Open(payload));
        }
        true
    }

    fn set_state(&mut self, number: usize, state: State) {
        let Some(item) = self.items.get_mut(number) else { return };
        let before = item.size();
        item.state = state;
        self.size = self.size - before + item.size();
    }

    /// The state of the work with this id, and its payload if that is still there. `None` if there is no such work.
    pub(crate) fn find(&self, id: &str) -> Option<(Pushed, Option<Data>)> {
        let item = self.items.get(*self.by_id.get(id)?)?;
        let state = match item.state {
            State::Open(_) => Pushed::Unfinished,
            State::Answered(_) | State::Failed { .. } => Pushed::Done,
        };
        Some((state, item.payload().cloned()))
    }

    /// The next item to claim.
    pub(crate) fn next(&self, ambiguous: Ambiguous) -> Option<usize> {
        let perhaps_sent = self.ambiguous.first().filter(|_| ambiguous == Ambiguous::Take);
        let next = self.ready.first().into_iter().chain(perhaps_sent).min();
        next.map(|(_, number)| *number)
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

    /// The item that a lease holds, and whether the holder has reported that it sends. `None` if the lease is not held.
    pub(crate) fn held(&self, lease: u64) -> Option<(usize, bool)> {
        self.leases.get(&lease).map(|held| (held.item, held.sent))
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
        Some((lease, self.held(lease)?.1))
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(until, _)| *until)
    }

    /// Whether all work is done.
    pub(crate) fn is_done(&self) -> bool {
        self.ready.is_empty() && self.ambiguous.is_empty() && self.leases.is_empty()
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

    /// Answers behind a position, whose bytes are filled in later.
    pub(crate) fn answers(&self, after: Option<u64>, most: usize) -> Vec<(Answer, Data)> {
        let after = match after {
            None => Bound::Unbounded,
            Some(after) => Bound::Excluded(usize::try_from(after).unwrap_or(usize::MAX)),
        };
        let answer = |number: &usize| {
            let item = self.items.get(*number)?;
            let (data, failed) = match &item.state {
                State::Answered(Some(data)) => (data, false),
                State::Failed { answer: Some(data), .. } => (data, true),
                _ => return None,
            };
            let answer =
                Answer { id: item.id.clone(), bytes: Bytes::new(), failed, position: *number as u64 };
            Some((answer, data.clone()))
        };
        self.done.range((after, Bound::Unbounded)).filter_map(answer).take(most).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        let open = self.ready.len() + self.ambiguous.len() + self.leases.len();
        Counts {
            ready: self.ready.len(),
            ambiguous: self.ambiguous.len(),
            claimed: self.leases.len(),
            done: self.done.len(),
            exported: self.items.len() - open - self.done.len(),
            failed: self.failed.len(),
        }
    }

    /// The shortest list of events that leads to this state. The items follow the first event, in order, and then what failed.
    pub(crate) fn history(&self) -> impl Iterator<Item = Event> {
        let items = self.items.iter().map(|item| Event::Item {
            id: item.id.clone(),
            deliveries: item.deliveries - u32::from(item.lease.is_some()),
            ambiguous: item.ambiguous,
            place: item.place,
            state: match &item.state {
                State::Open(payload) | State::Failed { payload, .. } => event::State::Open(payload.clone()),
                State::Answered(Some(answer)) => event::State::Done(answer.clone()),
                State::Answered(None) => event::State::Exported,
            },
        });
        let failed = self.failed.iter().filter_map(|number| match &self.items.get(*number)?.state {
            State::Failed { answer, .. } => Some(Event::Failed { item: *number, answer: answer.clone() }),
            _ => None,
        });
        let leases = self.leases.iter().flat_map(|(lease, held)| {
            let claimed = Event::Claimed { lease: *lease, item: held.item };
            [Some(claimed), held.sent.then_some(Event::Sent { lease: *lease })].into_iter().flatten()
        });
        std::iter::once(Event::Begin { last_lease: self.last_lease }).chain(items).chain(failed).chain(leases)
    }

    /// The history was written to these positions. The data of the items is there from now on.
    pub(crate) fn moved(&mut self, positions: &[Position]) {
        let mut positions = positions.iter().skip(1);
        for (item, position) in self.items.iter_mut().zip(positions.by_ref()) {
            if let State::Open(data) | State::Answered(Some(data)) | State::Failed { payload: data, .. } =
                &mut item.state
            {
                data.move_to_journal(*position);
            }
        }
        for (number, position) in self.failed.iter().zip(positions) {
            if let Some(Item { state: State::Failed { answer: Some(answer), .. }, .. }) =
                self.items.get_mut(*number)
            {
                answer.move_to_journal(*position);
            }
        }
    }
}
