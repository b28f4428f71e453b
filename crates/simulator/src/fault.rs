//! Ways to misbehave.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use crate::{
    draw::{Draw, Purpose},
    ledger::Seen,
    refusal::Refusal,
};

/// One way in which an attempt goes wrong.
///
/// The faults that strike inside the body have an `after`: how many chunks of the answer a stream still sends. With
/// `after: 0` nothing at all follows the head; if the answer has fewer chunks, the fault strikes behind the last one
/// and before the end marker. A plain (not streamed) reply sends half of its body, or nothing with `after: 0`.
///
/// What is billed: nothing for a [`Refuse`](Self::Refuse), or for an [`ErrorEvent`](Self::ErrorEvent) in a plain reply; the
/// prompt and the chunks that were sent for a broken stream; the whole answer for everything else, because a provider may
/// well have made it. So a blind retry is expensive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// An error status. `Refusal` converts into this.
    Refuse(Refusal),
    /// The connection is reset in place of a reply.
    ResetBeforeHeaders,
    /// The head and a part of the body arrive, then the connection is reset.
    ResetAfterHeaders {
        /// Chunks sent before.
        after: u32,
    },
    /// The head and a part of the body arrive, then the connection is closed in good order, too early for what the
    /// head announced.
    CutShort {
        /// Chunks sent before.
        after: u32,
    },
    /// No reply ever comes. The connection stays open until the client leaves.
    Silence,
    /// The head and a part of the body arrive, then nothing. The connection stays open until the client leaves.
    Stall {
        /// Chunks sent before.
        after: u32,
    },
    /// The body ends early, but as a valid body of HTTP: a stream without its end marker, or half a JSON text.
    Truncate {
        /// Chunks sent before.
        after: u32,
    },
    /// An overload reported inside a reply with status 200: as an event that ends the stream, or as the body of a
    /// plain reply.
    ErrorEvent {
        /// Chunks sent before.
        after: u32,
    },
    /// The head arrives, then a sign of life every so often before the answer: the comment `: PROCESSING` in a
    /// stream, a line feed in front of a plain reply's JSON.
    KeepAlive {
        /// Time between signs of life, 1 ms at the least.
        every: Duration,
        /// How many come before the answer. `None`: the answer never comes.
        count: Option<u32>,
    },
    /// Status 200 and a body that is not JSON. In a stream the first chunk is not JSON, and the rest is as usual.
    BadJson,
}

impl Fault {
    /// Whether it leaves the attempt without a whole answer.
    pub(crate) fn breaks(&self) -> bool {
        !matches!(self, Self::KeepAlive { count: Some(_), .. })
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

/// As it stands in the ledger: `status 503`, `silence`, `stall after 3`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(refusal) => write!(f, "status {}", refusal.status.as_u16()),
            Self::ResetBeforeHeaders => f.write_str("reset before headers"),
            Self::ResetAfterHeaders { after } => write!(f, "reset after {after}"),
            Self::CutShort { after } => write!(f, "cut short after {after}"),
            Self::Silence => f.write_str("silence"),
            Self::Stall { after } => write!(f, "stall after {after}"),
            Self::Truncate { after } => write!(f, "truncated after {after}"),
            Self::ErrorEvent { after } => write!(f, "error event after {after}"),
            Self::KeepAlive { count: Some(count), .. } => write!(f, "kept alive by {count} comments"),
            Self::KeepAlive { count: None, .. } => f.write_str("kept alive without an answer"),
            Self::BadJson => f.write_str("bad JSON"),
        }
    }
}

/// A fault and when it strikes.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Chance(Fault, f64),
    During(Fault, Range<Duration>),
    OnAttempt(Fault, u32),
    When(Closure),
}

/// The numbers of the rules of one group. No group has so many.
const GROUP: usize = 1 << 24;

type Choose = dyn Fn(&Seen) -> Option<Fault> + Send + Sync;

/// A rule of the user's own.
#[derive(Clone)]
pub(crate) struct Closure(pub(crate) Arc<Choose>);

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closure")
    }
}

/// The fault of this attempt: that of the first rule that applies. The rules come in groups, those of the builder first.
pub(crate) fn choose<'a>(
    groups: impl IntoIterator<Item = &'a [Rule]>,
    seed: u64,
    seen: &Seen,
) -> Option<Fault> {
    let numbered = |(group, rules): (usize, &'a [Rule])| {
        rules.iter().enumerate().map(move |(index, rule)| (group * GROUP + index, rule))
    };
    groups.into_iter().enumerate().flat_map(numbered).find_map(|(index, rule)| match rule {
        Rule::Chance(fault, probability) => {
            // Each rule has draws of its own, so that a new rule at the end changes nothing for those before it.
            let mut draw = Draw::keyed(seed, seen.body_hash, seen.attempt, Purpose::Rule(index));
            (draw.unit() < *probability).then(|| fault.clone())
        }
        Rule::During(fault, times) => times.contains(&seen.at).then(|| fault.clone()),
        Rule::OnAttempt(fault, attempt) => (seen.attempt == *attempt).then(|| fault.clone()),
        Rule::When(closure) => (closure.0)(seen),
    })
}
