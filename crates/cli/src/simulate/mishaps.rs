//! How a simulated provider failed, counted from its ledger.

use std::fmt::{self, Display, Formatter};

use outbound_simulator::{Fault, Outcome, Simulator};

/// The numbers of answers and of each kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Mishaps {
    /// Requests that it received.
    pub(crate) calls: u64,
    pub(crate) answered: u64,
    /// Refusals by a rate limit (429).
    pub(crate) refused: u64,
    /// Overloads: 503 and 529, and those inside a reply with status 200.
    pub(crate) overloaded: u64,
    /// Other server errors (5xx).
    pub(crate) server_errors: u64,
    /// Connections that were reset during a request.
    pub(crate) resets: u64,
    /// Answers that ended too early.
    pub(crate) cuts: u64,
    /// Answers that stalled, and requests without any reply.
    pub(crate) stalls: u64,
    /// Restarts of the server. `while_away`: requests that came during a restart.
    pub(crate) restarts: u64,
    pub(crate) while_away: u64,
    /// Requests that were billed more than once.
    pub(crate) paid_twice: u64,
}

impl Mishaps {
    pub(crate) fn of(simulator: &Simulator) -> Self {
        let ledger = simulator.ledger();
        let mut done = Self {
            calls: ledger.sends() as u64,
            answered: ledger.answered() as u64,
            refused: ledger.refused() as u64,
            restarts: u64::from(simulator.elapsed() > super::provider::RESTART.end),
            paid_twice: ledger.billed_twice() as u64,
            ..Self::default()
        };
        for entry in ledger.entries() {
            match (&entry.fault, entry.outcome) {
                (None, Outcome::Refused(status)) if status.as_u16() == 503 => done.while_away += 1,
                (_, Outcome::Refused(status)) => match status.as_u16() {
                    503 | 529 => done.overloaded += 1,
                    500..=599 => done.server_errors += 1,
                    _ => {}
                },
                (Some(Fault::ErrorEvent { .. }), _) => done.overloaded += 1,
                (Some(Fault::ResetBeforeHeaders | Fault::ResetAfterHeaders { .. }), _) => done.resets += 1,
                (Some(Fault::Truncate { .. } | Fault::CutShort { .. }), _) => done.cuts += 1,
                (Some(Fault::Stall { .. } | Fault::Silence), _) => done.stalls += 1,
                _ => {}
            }
        }
        done
    }
}

/// As text, without the kinds that did not happen.
impl Display for Mishaps {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.calls)?;
        let kinds = [
            (self.answered, "answered"),
            (self.refused, "refused (429)"),
            (self.overloaded, "overloaded"),
            (self.server_errors, "failed (5xx)"),
            (self.resets, "reset"),
            (self.cuts, "cut short"),
            (self.stalls, "stalled or silent"),
            (self.while_away, "during its restart"),
        ];
        let happened = kinds.iter().filter(|(count, _)| *count > 0);
        let words: Vec<_> = happened.map(|(count, what)| format!("{count} {what}")).collect();
        write!(f, ": {}", words.join(", "))
    }
}
