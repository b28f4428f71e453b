//! Requests that were begun and have no line in the output.

use super::{Counts, Inside};

/// At most this many ids are kept to be shown.
const SHOWN: usize = 5;

/// A number of requests, and the ids of the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Ids {
    pub(crate) count: u64,
    pub(crate) ids: Vec<String>,
}

/// Requests without a line in the output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    /// Sent, and their end is not known: they may be billed.
    pub(crate) perhaps_billed: Ids,
    /// Answered, and not written.
    pub(crate) unwritten: Ids,
    /// Never sent, or sent only in attempts that were refused or failed.
    pub(crate) not_sent: u64,
}

impl Ids {
    fn add(&mut self, id: &str) {
        self.count += 1;
        if self.ids.len() < SHOWN {
            self.ids.push(id.to_owned());
        }
    }
}

impl Left {
    pub(super) fn add(&mut self, id: &str, inside: Inside) {
        match inside {
            Inside { answered: true, .. } => self.unwritten.add(id),
            Inside { under_way: 1.., .. } | Inside { perhaps_billed: true, .. } => {
                self.perhaps_billed.add(id);
            }
            _ => self.not_sent += 1,
        }
    }
}

impl Counts {
    /// The requests that have no line in the output now. After the end of a run they get none.
    pub(crate) fn left(&self) -> Left {
        let mut left = self.interrupted.clone();
        let mut inside: Vec<_> = self.inside.iter().collect();
        inside.sort_unstable_by_key(|(id, _)| *id);
        inside.into_iter().for_each(|(id, inside)| left.add(id, *inside));
        left
    }
}
