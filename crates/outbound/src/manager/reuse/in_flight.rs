//! Calls in flight that equal requests wait for.

use std::collections::{HashMap, hash_map::Entry};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    super::{error::Error, reply::Reply},
    key::Key,
};

/// What a call came to.
pub(crate) type Answered = Result<Reply, Error>;

/// The answer to come. Its sender goes away without one where the others have to ask for themselves.
pub(crate) type ToCome = watch::Receiver<Option<Answered>>;

/// The calls in flight, by their keys.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<Key, ToCome>>);

/// What a request is among its equals.
pub(super) enum Joined<'a> {
    /// The first: it makes the call.
    Leads(Lead<'a>),
    /// Another makes the call.
    Follows(ToCome),
}

/// The duty to make the call. Dropped without an answer, by whatever cuts its request off, it falls to one who waits.
pub(super) struct Lead<'a> {
    in_flight: &'a InFlight,
    key: Key,
    answer: watch::Sender<Option<Answered>>,
}

impl InFlight {
    pub(super) fn join(&self, key: Key) -> Joined<'_> {
        match self.0.lock().entry(key) {
            Entry::Occupied(known) => Joined::Follows(known.get().clone()),
            Entry::Vacant(free) => {
                let (answer, to_come) = watch::channel(None);
                free.insert(to_come);
                Joined::Leads(Lead { in_flight: self, key, answer })
            }
        }
    }
}

impl Lead<'_> {
    pub(super) fn answers(self, answer: Answered) {
        self.answer.send_replace(Some(answer));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // Before the sender goes: who is woken by that must not find this call again.
        self.in_flight.0.lock().remove(&self.key);
    }
}
