//! The lifecycle of a manager or a batch: whether it accepts requests, and which are active.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

/// Tracks the active requests of a manager or a batch, and whether it accepts new ones.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    phase: AtomicU8,
    /// No new requests are accepted. Active ones go on as before.
    intake_closed: AtomicBool,
    /// Nothing is sent while this is set.
    paused: AtomicBool,
    requests: Mutex<Requests>,
    /// Notified when the last active request has ended.
    empty: Notify,
}

/// No new requests are accepted, and nothing more is sent. Attempts in flight go on.
const CLOSED: u8 = 1;
/// As closed, and active tasks are aborted.
const ABORTED: u8 = 2;

/// The active requests, each in a slot.
#[derive(Debug, Default)]
struct Requests {
    slots: Vec<Slot>,
    free: Vec<usize>,
    count: usize,
}

#[derive(Debug, Default)]
struct Slot {
    /// How many requests have left this slot. It tells the present request from earlier ones.
    generation: u64,
    task: Option<AbortHandle>,
    /// The id of the request; empty if it has none.
    id: String,
    /// The request was cancelled.
    cancelled: bool,
}

/// Identifies an active request: a slot and its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActiveKey {
    slot: usize,
    generation: u64,
}

/// An active request. Dropping it frees its slot.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    lifecycle: Arc<Lifecycle>,
    active_key: ActiveKey,
}

impl Lifecycle {
    /// Whether requests are accepted and sent, unless the intake is closed.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == 0
    }

    /// Whether new requests are refused while active ones go on.
    pub(crate) fn is_intake_closed(&self) -> bool {
        self.intake_closed.load(Ordering::SeqCst)
    }

    /// Accepts no new requests. Active ones go on.
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

    /// Cancels the requests that `chosen` selects, by key and id. Returns how many.
    pub(crate) fn cancel(&self, chosen: impl Fn(ActiveKey, &str) -> bool) -> usize {
        let mut requests = self.requests.lock();
        let mut tasks = Vec::new();
        for (index, slot) in requests.slots.iter_mut().enumerate() {
            if let Some(task) = &slot.task
                && !slot.cancelled
                && chosen(ActiveKey { slot: index, generation: slot.generation }, &slot.id)
            {
                slot.cancelled = true;
                tasks.push(task.clone());
            }
        }
        // An aborted task may be dropped here, which frees its slot and takes the lock.
        drop(requests);
        tasks.iter().for_each(AbortHandle::abort);
        tasks.len()
    }

    /// Adds a request. `None` if no requests are accepted.
    pub(crate) fn register(self: &Arc<Self>, id: Option<&str>) -> Option<ActiveRequest> {
        let mut requests = self.requests.lock();
        // Checked under the lock, so that no request is added after a shutdown has found none active.
        if !self.is_open() || self.is_intake_closed() {
            return None;
        }
        let slot = requests.free.pop().unwrap_or(requests.slots.len());
        if slot == requests.slots.len() {
            requests.slots.push(Slot::default());
        }
        requests.count += 1;
        // The memory of the string is used again.
        requests.slots[slot].id.clear();
        requests.slots[slot].id.push_str(id.unwrap_or_default());
        requests.slots[slot].cancelled = false;
        let generation = requests.slots[slot].generation;
        drop(requests);
        Some(ActiveRequest { lifecycle: Arc::clone(self), active_key: ActiveKey { slot, generation } })
    }

    /// Sets the task of an active request. Does nothing if the request has ended already.
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

    /// Accepts no new requests, and sends nothing more. Tasks go on.
    pub(crate) fn close(&self) {
        let _requests = self.requests.lock();
        self.phase.fetch_max(CLOSED, Ordering::SeqCst);
    }

    /// As [`close`](Self::close), and aborts all tasks.
    pub(crate) fn abort(&self) {
        let requests = self.requests.lock();
        self.phase.fetch_max(ABORTED, Ordering::SeqCst);
        let tasks: Vec<_> = requests.slots.iter().filter_map(|slot| slot.task.clone()).collect();
        // An aborted task may be dropped here, which frees its slot and takes the lock.
        drop(requests);
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// How many requests are active.
    pub(crate) fn active(&self) -> usize {
        self.requests.lock().count
    }

    /// Returns when no request is active, or after `grace`. Says how many still are.
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
    /// Whether the request was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.lifecycle.requests.lock().slots[self.active_key.slot].cancelled
    }

    /// The key of the request.
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
