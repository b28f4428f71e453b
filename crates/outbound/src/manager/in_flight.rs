//! Calls in flight that equal requests wait for.

use std::collections::{HashMap, hash_map::Entry};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{cache::Key, error::Error, reply::Reply};

/// What a call came to.
pub(crate) type SharedAnswer = Result<Reply, Error>;

/// The answer to come. Its sender goes away without one where the others have to ask for themselves.
pub(crate) type PendingAnswer = watch::Receiver<Option<SharedAnswer>>;

/// The calls in flight, by their keys.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<Key, PendingAnswer>>);

/// What a request is among its equals.
pub(super) enum Role<'a> {
    /// The first: it makes the call.
    Leader(Leader<'a>),
    /// Another makes the call.
    Follower(PendingAnswer),
}

/// The duty to make the call. Dropped without an answer, by whatever cuts its request off, it falls to one who waits.
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
        // Before the sender goes: who is woken by that must not find this call again.
        self.in_flight.0.lock().remove(&self.key);
    }
}
