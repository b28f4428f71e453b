//! Calls in flight whose answers equal requests share.

use std::collections::{HashMap, hash_map::Entry};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{cache::Key, error::Error, reply::Reply};

/// The result of a call.
pub(crate) type SharedAnswer = Result<Reply, Error>;

/// A result that is still to come. The sender is dropped without a result where a follower has to make its own call.
pub(crate) type PendingAnswer = watch::Receiver<Option<SharedAnswer>>;

/// The calls in flight, by their keys.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<Key, PendingAnswer>>);

/// The role of a request among equal ones.
pub(super) enum Role<'a> {
    /// The first one. It makes the call.
    Leader(Leader<'a>),
    /// Another request makes the call. This one waits for its answer.
    Follower(PendingAnswer),
}

/// The leader makes the call. If it is dropped without an answer, one of the followers becomes the leader.
pub(super) struct Leader<'a> {
    in_flight: &'a InFlight,
    key: Key,
    answer: watch::Sender<Option<SharedAnswer>>,
}

impl InFlight {
    pub(super) fn join(&self, key: Key) -> Role<'_> {
        match self.0.lock().entry(key) {
            Entry::Occupied(known) => Role::Follower(known.get().clone()),
            Entry::Vacant(free) => {
                let (answer, pending) = watch::channel(None);
                free.insert(pending);
                Role::Leader(Leader { in_flight: self, key, answer })
            }
        }
    }
}

impl Leader<'_> {
    pub(super) fn answers(self, answer: SharedAnswer) {
        self.answer.send_replace(Some(answer));
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        // Before the sender is dropped: a follower that this wakes must not find this call again.
        self.in_flight.0.lock().remove(&self.key);
    }
}
