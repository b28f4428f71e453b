//! Answers kept in memory.

use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

use parking_lot::Mutex;

use super::{super::reply::Reply, key::Key};

/// The bytes that an entry takes besides its body and headers, roughly.
const OVERHEAD: usize = 256;

/// Answers up to a number of bytes in all. The least recently used one is dropped first.
#[derive(Debug)]
pub(super) struct Memory {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, CacheEntry>,
    /// The keys, by the number of their last use.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct CacheEntry {
    reply: Reply,
    since: SystemTime,
    used: u64,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// An answer, and when it was stored.
    pub(super) fn find(&self, key: Key) -> Option<(Reply, SystemTime)> {
        let state = &mut *self.state.lock();
        let entry = state.entries.get_mut(&key)?;
        state.by_use.remove(&entry.used);
        state.uses += 1;
        entry.used = state.uses;
        state.by_use.insert(entry.used, key);
        Some((entry.reply.clone(), entry.since))
    }

    pub(super) fn keep(&self, key: Key, reply: Reply, now: SystemTime) {
        let headers: usize =
            reply.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let bytes = reply.body.len() + headers + OVERHEAD;
        let state = &mut *self.state.lock();
        state.forget(key);
        if bytes > self.most {
            return;
        }
        while state.bytes + bytes > self.most {
            let Some((_, oldest)) = state.by_use.first_key_value() else { break };
            let oldest = *oldest;
            state.forget(oldest);
        }
        state.uses += 1;
        let used = state.uses;
        state.bytes += bytes;
        state.by_use.insert(used, key);
        state.entries.insert(key, CacheEntry { reply, since: now, used, bytes });
    }
}

impl State {
    fn forget(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests;
