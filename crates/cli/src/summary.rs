//! What a run came to: counted as it goes, told at the end.

use std::{collections::BTreeMap, fmt, time::Duration};

use outbound::{ErrorKind, Outcome, Stopped};

/// How many different errors are shown in full.
const SHOWN: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Sent or not, and without an outcome when the run was interrupted.
    unfinished: u64,
    by_kind: BTreeMap<&'static str, u64>,
    examples: Vec<(ErrorKind, String, String)>,
    sends: u64,
    refused: u64,
    input_tokens: u64,
    output_tokens: u64,
    possible_duplicates: u64,
    /// How many requests there are, where that is known.
    pub(crate) asked: Option<u64>,
    /// Why not everything was sent.
    pub(crate) stopped: Option<Stopped>,
    refused_account: bool,
    pub(crate) wall: Duration,
}

impl Summary {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.sends += u64::from(outcome.sends);
        self.refused += u64::from(outcome.refused);
        self.possible_duplicates += u64::from(outcome.possible_duplicate);
        if outcome.error_kind() == Some(ErrorKind::ShutDown) {
            self.unfinished += 1;
            return;
        }
        if let Some(usage) = outcome.usage {
            self.input_tokens += usage.input;
            self.output_tokens += usage.output;
        }
        match &outcome.result {
            Ok(_) => self.succeeded += 1,
            Err(error) => {
                self.failed += 1;
                self.refused_account |= matches!(error.kind(), ErrorKind::Auth | ErrorKind::QuotaSpent);
                *self.by_kind.entry(error.kind().as_str()).or_default() += 1;
                let known = self.examples.iter().any(|(kind, ..)| *kind == error.kind());
                if !known && self.examples.len() < SHOWN {
                    let id = outcome.id.clone().unwrap_or_default();
                    self.examples.push((error.kind(), id, error.to_string()));
                }
            }
        }
    }

    pub(crate) fn done(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// Whether some request failed because the key or the quota was refused.
    pub(crate) fn key_or_money_refused(&self) -> bool {
        self.refused_account
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} succeeded, {} failed in {:.1} s",
            self.succeeded,
            self.failed,
            self.wall.as_secs_f64()
        )?;
        for (kind, count) in &self.by_kind {
            writeln!(f, "  {kind}: {count}")?;
        }
        writeln!(f, "sends {} (refused for the rate: {})", self.sends, self.refused)?;
        writeln!(f, "tokens {} in, {} out", self.input_tokens, self.output_tokens)?;
        write!(f, "possible duplicates {}", self.possible_duplicates)?;
        if self.unfinished > 0 {
            write!(f, "\ninterrupted before its answer: {}", self.unfinished)?;
        }
        if let Some(stopped) = &self.stopped {
            write!(f, "\nstopped: {}", stopped.message)?;
            if let Some(asked) = self.asked {
                write!(f, "\nnot sent: {}", asked.saturating_sub(self.done() + self.unfinished))?;
            }
        }
        for (kind, id, message) in &self.examples {
            write!(f, "\nfirst {kind}: {id}: {message}")?;
        }
        Ok(())
    }
}
