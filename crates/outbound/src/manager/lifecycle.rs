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
    intake_closed: AtomicBool,
    /// Nothing is sent until this ends.
    paused: AtomicBool,
    requests: Mutex<Requests>,
    /// Told when the last one has left.
    empty: Notify,
}

/// Nobody comes in any more; those inside run to their end.
const CLOSED: u8 = 1;
/// Those still inside are cut off.
const ABORTED: u8 = 2;

/// The requests inside, each at a slot of its own.
#[derive(Debug, Default)]
struct Requests {
    slots: Vec<Slot>,
    free: Vec<usize>,
    count: usize,
}

#[derive(Debug, Default)]
struct Slot {
    /// Which of those that had this slot one after the other.
    generation: u64,
    task: Option<AbortHandle>,
    /// The name of the request that has it; empty if it has none.
    id: String,
    /// Somebody has called it off.
    cancelled: bool,
}

/// A slot and the generation at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActiveKey {
    slot: usize,
    generation: u64,
}

/// One request inside. Dropping it says that it has left.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    lifecycle: Arc<Lifecycle>,
    active_key: ActiveKey,
}

impl Lifecycle {
    /// Whether requests come in and are sent.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == 0
    }

    /// Whether nobody new comes in, while those inside go on.
    pub(crate) fn is_intake_closed(&self) -> bool {
        self.intake_closed.load(Ordering::SeqCst)
    }

    /// Lets nobody in any more; those inside go on.
    pub(crate) fn close_intake(&self) {
        let _requests = self.requests.lock();
        self.intake_closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// Calls requests off: those that `chosen` names by slot, generation and id. Says how many.
    pub(crate) fn cancel(&self, chosen: impl Fn(ActiveKey, &str) -> bool) -> usize {
        let mut requests = self.requests.lock();
        let mut tasks = Vec::new();
        for (place, slot) in requests.slots.iter_mut().enumerate() {
            if let Some(task) = &slot.task
                && !slot.cancelled
                && chosen(ActiveKey { slot: place, generation: slot.generation }, &slot.id)
            {
                slot.cancelled = true;
                tasks.push(task.clone());
            }
        }
        // Dropped by `abort`, a task leaves, which takes the lock.
        drop(requests);
        tasks.iter().for_each(AbortHandle::abort);
        tasks.len()
    }

    /// Lets a request in, unless the doors are closed.
    pub(crate) fn register(self: &Arc<Self>, id: Option<&str>) -> Option<ActiveRequest> {
        let mut requests = self.requests.lock();
        // Asked under the lock, so that a shutdown that finds nobody inside lets nobody in.
        if !self.is_open() || self.is_intake_closed() {
            return None;
        }
        let slot = requests.free.pop().unwrap_or(requests.slots.len());
        if slot == requests.slots.len() {
            requests.slots.push(Slot::default());
        }
        requests.count += 1;
        // Its memory is used again.
        requests.slots[slot].id.clear();
        requests.slots[slot].id.push_str(id.unwrap_or_default());
        requests.slots[slot].cancelled = false;
        let generation = requests.slots[slot].generation;
        drop(requests);
        Some(ActiveRequest { lifecycle: Arc::clone(self), active_key: ActiveKey { slot, generation } })
    }

    /// The task in which a active_request runs. One that has left meanwhile is no active_request any more.
    pub(crate) fn set_task(&self, active_key: Option<ActiveKey>, task: &AbortHandle) {
        let Some(active_key) = active_key else { return };
        let mut requests = self.requests.lock();
        let slot = &mut requests.slots[active_key.slot];
        if slot.generation == active_key.generation {
            slot.task = Some(task.clone());
        }
        drop(requests);
        if self.phase.load(Ordering::SeqCst) == ABORTED {
            task.abort();
        }
    }

    /// Closes the doors; what is inside runs on.
    pub(crate) fn close(&self) {
        let _requests = self.requests.lock();
        self.phase.fetch_max(CLOSED, Ordering::SeqCst);
    }

    /// Closes the doors and cuts off what is inside.
    pub(crate) fn abort(&self) {
        let requests = self.requests.lock();
        self.phase.fetch_max(ABORTED, Ordering::SeqCst);
        let tasks: Vec<_> = requests.slots.iter().filter_map(|slot| slot.task.clone()).collect();
        // Dropped by `abort`, a task leaves, which takes the lock.
        drop(requests);
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// How many requests are inside.
    pub(crate) fn active(&self) -> usize {
        self.requests.lock().count
    }

    /// Returns once nobody is inside, or after the time given; says how many still are.
    pub(crate) async fn wait_until_empty(&self, grace: Duration) -> usize {
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

impl ActiveRequest {
    /// Whether it was called off.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.lifecycle.requests.lock().slots[self.active_key.slot].cancelled
    }

    /// What [`Lifecycle::set_task`] knows it by.
    pub(crate) fn key(&self) -> ActiveKey {
        self.active_key
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut requests = self.lifecycle.requests.lock();
        let slot = &mut requests.slots[self.active_key.slot];
        slot.generation += 1;
        slot.task = None;
        requests.free.push(self.active_key.slot);
        requests.count -= 1;
        let empty = requests.count == 0;
        drop(requests);
        if empty {
            self.lifecycle.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
