//! What an item of a queue is ordered by.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio::time::Instant;

/// Parts of a second that the ranks of an aging queue tell apart: 32 bits of them last for more than eight years.
const TICKS: u128 = 16;

/// The rank of all items that are ordered by their keys alone: behind those of the priority store that have a FIFO of
/// their own.
pub(crate) const BY_KEY: u32 = u64::BITS;

/// Where an item stands among others: by its rank, then by its key. Queues have the one or the other, or neither.
///
/// It is in every waiting future, so that of a queue without keys has no room for a tag or a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place<K> {
    rank: NonZeroU32,
    key: Option<K>,
}

/// What the places of a queue's items are made of. Each handle has it, since it is asked outside of the lock.
// A tag of its own is read in one step, a niche in an `Instant` in several.
#[repr(u8)]
pub(crate) enum Order<T, K> {
    /// Nothing: all have the same.
    Arrival,
    /// The rank read off the item.
    Rank(Arc<Read<T, u32>>),
    /// When the item came plus its handicap, counted from when the queue was made.
    Aging { handicap: Arc<Read<T, Duration>>, since: Instant },
    /// The key read off the item.
    Key(Arc<Read<T, K>>),
}

/// What reads something off an item.
pub(crate) type Read<T, R> = dyn Fn(&T) -> R + Send + Sync;

impl<K> Place<K> {
    pub(crate) const fn ranked(rank: u32) -> Self {
        Self { rank: NonZeroU32::MIN.saturating_add(rank), key: None }
    }

    pub(crate) const fn rank(&self) -> u32 {
        self.rank.get() - 1
    }
}

impl<T, K> Order<T, K> {
    /// The place of an item that comes now. Runs the user's code, unless the order is that of arrival.
    #[inline]
    pub(crate) fn place_of(&self, item: &T) -> Place<K> {
        // Most queues read nothing, and are not to pay for a jump by a table.
        if let Self::Arrival = self { Place::ranked(0) } else { self.read(item) }
    }

    fn read(&self, item: &T) -> Place<K> {
        match self {
            Self::Arrival => Place::ranked(0),
            Self::Rank(rank) => Place::ranked(rank(item)),
            Self::Aging { handicap, since } => {
                Place::ranked(ticks(since.elapsed().saturating_add(handicap(item))))
            }
            Self::Key(key) => Place { key: Some(key(item)), ..Place::ranked(BY_KEY) },
        }
    }
}

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis() * TICKS / 1000).unwrap_or(u32::MAX)
}

impl<T, K> Clone for Order<T, K> {
    fn clone(&self) -> Self {
        match self {
            Self::Arrival => Self::Arrival,
            Self::Rank(rank) => Self::Rank(Arc::clone(rank)),
            Self::Aging { handicap, since } => Self::Aging { handicap: Arc::clone(handicap), since: *since },
            Self::Key(key) => Self::Key(Arc::clone(key)),
        }
    }
}
