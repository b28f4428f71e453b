//! Open, draining, ended: who may still come in, what runs, and when the last one has left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

/// The life of a manager, or of a batch, shared by everything that runs for it.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    phase: AtomicU8,
    /// Nobody new comes in; those inside go on as before.
    full: AtomicBool,
    /// Nothing is sent until this ends.
    paused: AtomicBool,
    inside: Mutex<Inside>,
    /// Told when the last one has left.
    empty: Notify,
}

/// Nobody comes in any more; those inside run to their end.
const DRAINING: u8 = 1;
/// Those still inside are cut off.
const ABORTED: u8 = 2;

/// The requests inside, each at a slot of its own.
#[derive(Debug, Default)]
struct Inside {
    slots: Vec<Slot>,
    free: Vec<usize>,
    count: usize,
}

#[derive(Debug, Default)]
struct Slot {
    /// Which of those that had this slot one after the other.
    turn: u64,
    task: Option<AbortHandle>,
    /// The name of the request that has it; empty if it has none.
    id: String,
    /// Somebody has called it off.
    cancelled: bool,
}

/// A slot and the turn at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    slot: usize,
    turn: u64,
}

/// One request inside. Dropping it says that it has left.
#[derive(Debug)]
pub(crate) struct Guest {
    lifecycle: Arc<Lifecycle>,
    entry: Entry,
}

impl Lifecycle {
    /// Whether requests come in and are sent.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == 0
    }

    /// Whether nobody new comes in, while those inside go on.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    /// Lets nobody in any more; those inside go on.
    pub(crate) fn take_in_nobody(&self) {
        let _inside = self.inside.lock();
        self.full.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// Calls requests off: those that `chosen` names by slot, turn and id. Says how many.
    pub(crate) fn cancel(&self, chosen: impl Fn(Entry, &str) -> bool) -> usize {
        let mut inside = self.inside.lock();
        let mut tasks = Vec::new();
        for (place, slot) in inside.slots.iter_mut().enumerate() {
            if let Some(task) = &slot.task
                && !slot.cancelled
                && chosen(Entry { slot: place, turn: slot.turn }, &slot.id)
            {
                slot.cancelled = true;
                tasks.push(task.clone());
            }
        }
        // Dropped by `abort`, a task leaves, which takes the lock.
        drop(inside);
        tasks.iter().for_each(AbortHandle::abort);
        tasks.len()
    }

    /// Lets a request in, unless the doors are closed.
    pub(crate) fn enter(self: &Arc<Self>, id: Option<&str>) -> Option<Guest> {
        let mut inside = self.inside.lock();
        // Asked under the lock, so that a shutdown that finds nobody inside lets nobody in.
        if !self.is_open() || self.is_full() {
            return None;
        }
        let slot = inside.free.pop().unwrap_or(inside.slots.len());
        if slot == inside.slots.len() {
            inside.slots.push(Slot::default());
        }
        inside.count += 1;
        // Its memory is used again.
        inside.slots[slot].id.clear();
        inside.slots[slot].id.push_str(id.unwrap_or_default());
        inside.slots[slot].cancelled = false;
        let turn = inside.slots[slot].turn;
        drop(inside);
        Some(Guest { lifecycle: Arc::clone(self), entry: Entry { slot, turn } })
    }

    /// The task in which a guest runs. One that has left meanwhile is no guest any more.
    pub(crate) fn runs_in(&self, entry: Option<Entry>, task: &AbortHandle) {
        let Some(entry) = entry else { return };
        let mut inside = self.inside.lock();
        let slot = &mut inside.slots[entry.slot];
        if slot.turn == entry.turn {
            slot.task = Some(task.clone());
        }
        drop(inside);
        if self.phase.load(Ordering::SeqCst) == ABORTED {
            task.abort();
        }
    }

    /// Closes the doors; what is inside runs on.
    pub(crate) fn drain(&self) {
        let _inside = self.inside.lock();
        self.phase.fetch_max(DRAINING, Ordering::SeqCst);
    }

    /// Closes the doors and cuts off what is inside.
    pub(crate) fn abort(&self) {
        let inside = self.inside.lock();
        self.phase.fetch_max(ABORTED, Ordering::SeqCst);
        let tasks: Vec<_> = inside.slots.iter().filter_map(|slot| slot.task.clone()).collect();
        // Dropped by `abort`, a task leaves, which takes the lock.
        drop(inside);
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// How many requests are inside.
    pub(crate) fn active(&self) -> usize {
        self.inside.lock().count
    }

    /// Returns once nobody is inside, or after the time given; says how many still are.
    pub(crate) async fn drained(&self, grace: Duration) -> usize {
        let empty = async {
            loop {
                let empty = self.empty.notified();
                if self.active() == 0 {
                    return;
                }
                empty.await;
            }
        };
        let _ = tokio::time::timeout(grace, empty).await;
        self.active()
    }
}

impl Guest {
    /// Whether it was called off.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.lifecycle.inside.lock().slots[self.entry.slot].cancelled
    }

    /// What [`Lifecycle::runs_in`] knows it by.
    pub(crate) fn entry(&self) -> Entry {
        self.entry
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.lifecycle.inside.lock();
        let slot = &mut inside.slots[self.entry.slot];
        slot.turn += 1;
        slot.task = None;
        inside.free.push(self.entry.slot);
        inside.count -= 1;
        let empty = inside.count == 0;
        drop(inside);
        if empty {
            self.lifecycle.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
