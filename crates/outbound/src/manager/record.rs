//! What is counted on a request's way, and survives a way that is cut short.

use std::time::Duration;

use outbound_provider::Usage;

use super::{
    error::Error,
    outcome::{Outcome, Reply},
};

/// The count of one request.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) charged: u32,
    pub(crate) refused: u32,
    pub(crate) overloads: u32,
    /// Attempts in a row that found no connection.
    pub(crate) unconnected: u32,
    pub(crate) usage: Option<Usage>,
    pub(crate) waited: Duration,
    sends: u32,
    possible_duplicate: bool,
    /// An attempt went out, and nothing proves that it was not processed.
    maybe_processed: bool,
    /// An attempt is under way: dropped now, it may have been sent.
    under_way: bool,
    /// Sending it twice does nothing twice.
    repeatable: bool,
    last_failure: Option<String>,
}

impl Record {
    pub(crate) fn sends(&self) -> u32 {
        self.sends
    }

    /// What went wrong last, behind a few words; nothing if nothing did.
    pub(crate) fn last(&self, words: &str) -> String {
        self.last_failure.as_deref().map(|last| format!("{words}{last}")).unwrap_or_default()
    }

    /// An attempt begins.
    pub(crate) fn begins(&mut self, repeatable: bool) {
        self.under_way = true;
        self.repeatable = repeatable;
    }

    /// The attempt ended, having been sent.
    pub(crate) fn ended(&mut self, maybe_processed: bool) {
        self.under_way = false;
        self.sends += 1;
        self.possible_duplicate |= self.maybe_processed;
        self.maybe_processed |= maybe_processed && !self.repeatable;
    }

    /// The attempt failed.
    pub(crate) fn failed(&mut self, sent: bool, maybe_processed: bool, message: String) {
        if sent {
            self.ended(maybe_processed);
            self.unconnected = 0;
        } else {
            self.under_way = false;
            self.unconnected += 1;
        }
        self.last_failure = Some(message);
    }

    pub(crate) fn into_outcome(
        mut self,
        result: Result<Reply, Error>,
        id: Option<String>,
        index: usize,
        elapsed: Duration,
    ) -> Outcome {
        if self.under_way {
            self.ended(true);
        }
        Outcome {
            index,
            id,
            result,
            sends: self.sends,
            charged: self.charged,
            refused: self.refused,
            usage: self.usage,
            waited: self.waited,
            elapsed,
            possible_duplicate: self.possible_duplicate,
        }
    }
}
