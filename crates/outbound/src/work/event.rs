//! The events of a store, and their bytes in a journal.

use std::sync::Arc;

use bytes::Bytes;
use outbound_journal::Position;

use super::place::Place;

/// One change. Items are numbered 0, 1, 2... in the order of their events.
#[derive(Clone)]
pub(crate) enum Event {
    /// The first event. It marks a journal of work. Later leases have larger numbers than `last_lease`.
    Begin {
        last_lease: u64,
    },
    /// A new item.
    Item {
        id: Arc<str>,
        deliveries: u32,
        ambiguous: bool,
        place: Place,
        state: State,
    },
    Claimed {
        lease: u64,
        item: usize,
    },
    Sent {
        lease: u64,
    },
    /// It repeats the id. So it is at least as long as the finished item in a rewritten journal.
    Finished {
        lease: u64,
        id: Arc<str>,
        answer: Data,
    },
    /// The item failed finally, and keeps its payload. `None`: that is exported already.
    Failed {
        item: usize,
        answer: Option<Data>,
    },
    Released {
        lease: u64,
        sent: bool,
    },
    Exported {
        item: usize,
    },
    /// All that failed is ready again.
    Retried,
}

/// The state of an item in its own record.
#[derive(Clone)]
pub(crate) enum State {
    /// Not done. With the payload.
    Open(Data),
    /// Answered. With the answer.
    Done(Data),
    /// Answered, and exported.
    Exported,
}

/// A payload or an answer.
#[derive(Clone)]
pub(crate) enum Data {
    InMemory(Bytes),
    /// The last `length` bytes of a record of the journal.
    InJournal {
        position: Position,
        length: usize,
    },
}

impl Data {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::InMemory(bytes) => bytes.len(),
            Self::InJournal { length, .. } => *length,
        }
    }

    pub(crate) fn in_memory(&self) -> Option<Bytes> {
        match self {
            Self::InMemory(bytes) => Some(bytes.clone()),
            Self::InJournal { .. } => None,
        }
    }

    pub(crate) fn position(&self) -> Option<Position> {
        match self {
            Self::InMemory(_) => None,
            Self::InJournal { position, .. } => Some(*position),
        }
    }

    /// The data is in the record at this position from now on.
    pub(crate) fn move_to_journal(&mut self, position: Position) {
        *self = Self::InJournal { position, length: self.len() };
    }
}

const BEGIN: u8 = b'B';
const OPEN: u8 = b'P';
/// As `OPEN`, from before there were priorities. It is only read.
const OPEN_WITHOUT_PLACE: u8 = b'I';
const DONE: u8 = b'D';
const GONE: u8 = b'G';
const CLAIMED: u8 = b'C';
const SENT: u8 = b'S';
const FINISHED: u8 = b'F';
const FAILED: u8 = b'X';
const FAILED_AND_EXPORTED: u8 = b'Y';
const RELEASED: u8 = b'R';
const EXPORTED: u8 = b'E';
const RETRIED: u8 = b'A';

/// It follows the kind of the first event. Its last byte is the version.
const MAGIC: &[u8] = b"outbound work 1";

impl Event {
    pub(crate) fn data(&mut self) -> Option<&mut Data> {
        match self {
            Self::Item { state: State::Open(data) | State::Done(data), .. }
            | Self::Finished { answer: data, .. }
            | Self::Failed { answer: Some(data), .. } => Some(data),
            _ => None,
        }
    }

    /// The bytes of a record: a kind, numbers in little-endian order, text. `data` comes last.
    pub(crate) fn encode(&self, data: &[u8], into: &mut Vec<u8>) {
        match self {
            Self::Begin { last_lease } => {
                into.push(BEGIN);
                into.extend_from_slice(MAGIC);
                into.extend_from_slice(&last_lease.to_le_bytes());
            }
            Self::Item { id, deliveries, ambiguous, place, state } => {
                into.push(match state {
                    State::Open(_) => OPEN,
                    State::Done(_) => DONE,
                    State::Exported => GONE,
                });
                into.extend_from_slice(&deliveries.to_le_bytes());
                into.push(u8::from(*ambiguous));
                // What is done is not claimed any more, and has no place.
                if let State::Open(_) = state {
                    into.extend_from_slice(&place.pushed.to_le_bytes());
                    into.extend_from_slice(&place.priority.to_le_bytes());
                }
                text(into, id);
            }
            Self::Claimed { lease, item } => {
                numbered(into, CLAIMED, *lease);
                into.extend_from_slice(&(*item as u64).to_le_bytes());
            }
            Self::Sent { lease } => numbered(into, SENT, *lease),
            Self::Finished { lease, id, .. } => {
                numbered(into, FINISHED, *lease);
                text(into, id);
            }
            Self::Failed { item, answer: Some(_) } => numbered(into, FAILED, *item as u64),
            Self::Failed { item, answer: None } => numbered(into, FAILED_AND_EXPORTED, *item as u64),
            Self::Released { lease, sent } => {
                numbered(into, RELEASED, *lease);
                into.push(u8::from(*sent));
            }
            Self::Exported { item } => numbered(into, EXPORTED, *item as u64),
            Self::Retried => into.push(RETRIED),
        }
        into.extend_from_slice(data);
    }

    /// The event of the record at this position. Its data stays in the journal. `None` if these are not the bytes of an
    /// event.
    pub(crate) fn decode(bytes: &[u8], position: Position) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        let all = |rest: &mut &[u8]| Data::InJournal { position, length: std::mem::take(rest).len() };
        let event = match *kind {
            BEGIN => {
                rest = rest.strip_prefix(MAGIC)?;
                Self::Begin { last_lease: number(&mut rest)? }
            }
            OPEN | OPEN_WITHOUT_PLACE | DONE | GONE => {
                let deliveries = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
                let ambiguous = flag(&mut rest)?;
                let place = if *kind == OPEN { place(&mut rest)? } else { Place::default() };
                let id = id(&mut rest)?;
                let state = match *kind {
                    OPEN | OPEN_WITHOUT_PLACE => State::Open(all(&mut rest)),
                    DONE => State::Done(all(&mut rest)),
                    _ => State::Exported,
                };
                Self::Item { id, deliveries, ambiguous, place, state }
            }
            CLAIMED => Self::Claimed { lease: number(&mut rest)?, item: index(&mut rest)? },
            SENT => Self::Sent { lease: number(&mut rest)? },
            FINISHED => {
                Self::Finished { lease: number(&mut rest)?, id: id(&mut rest)?, answer: all(&mut rest) }
            }
            FAILED => Self::Failed { item: index(&mut rest)?, answer: Some(all(&mut rest)) },
            FAILED_AND_EXPORTED => Self::Failed { item: index(&mut rest)?, answer: None },
            RELEASED => Self::Released { lease: number(&mut rest)?, sent: flag(&mut rest)? },
            EXPORTED => Self::Exported { item: index(&mut rest)? },
            RETRIED => Self::Retried,
            _ => return None,
        };
        rest.is_empty().then_some(event)
    }
}

fn numbered(into: &mut Vec<u8>, kind: u8, number: u64) {
    into.push(kind);
    into.extend_from_slice(&number.to_le_bytes());
}

fn text(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(&(text.len() as u64).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

fn id(rest: &mut &[u8]) -> Option<Arc<str>> {
    let length = index(rest)?;
    Some(str::from_utf8(rest.split_off(..length)?).ok()?.into())
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?))
}

fn index(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(number(rest)?).ok()
}

fn place(rest: &mut &[u8]) -> Option<Place> {
    let pushed = number(rest)?;
    Some(Place { pushed, priority: i16::from_le_bytes(*rest.split_off(..2)?.first_chunk()?) })
}

fn flag(rest: &mut &[u8]) -> Option<bool> {
    match rest.split_off_first()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
