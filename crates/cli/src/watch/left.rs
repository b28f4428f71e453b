//! What was begun and has no line in the output.

use super::{Counts, Inside};

/// So many ids are shown.
const SHOWN: usize = 5;

/// How many they are, and the ids of the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Ids {
    pub(crate) count: u64,
    pub(crate) ids: Vec<String>,
}

/// Requests without a line in the output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    /// Sent, and nobody knows what came of it: they may be billed.
    pub(crate) perhaps_billed: Ids,
    /// Answered, and not written.
    pub(crate) unwritten: Ids,
    /// Never sent, or only in vain: refused or failed before.
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
    /// What has no line in the output now. At the end of a run: what never will have one.
    pub(crate) fn left(&self) -> Left {
        let mut left = self.interrupted.clone();
        let mut inside: Vec<_> = self.inside.iter().collect();
        inside.sort_unstable_by_key(|(id, _)| *id);
        inside.into_iter().for_each(|(id, inside)| left.add(id, *inside));
        left
    }
}
