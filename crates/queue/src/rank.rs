//! The order of a queue: what its items are sorted by.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio::time::Instant;

/// The ranks of an aging queue count in this part of a second. So 32 bits last for more than eight years.
const TICKS: u128 = 16;

/// The rank of all items that are sorted by key. It is the first rank that has no FIFO of its own in the priority store.
pub(crate) const BY_KEY: u32 = u64::BITS;

/// What an item is sorted by: its rank, then its key. A queue has ranks or keys or neither.
///
/// It is in every waiting future. So the rank is not zero, and a queue without keys stores neither a tag nor a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortKey<K> {
    rank: NonZeroU32,
    key: Option<K>,
}

/// How the sort keys of a queue's items are made. Each handle has it, because it is called outside the lock.
// A separate tag is read in one step. A tag stored in the unused values of an `Instant` takes several.
#[repr(u8)]
pub(crate) enum Order<T, K> {
    /// All items have the same sort key.
    Arrival,
    /// By the rank of the item.
    Rank(Arc<Read<T, u32>>),
    /// By the arrival of the item plus its handicap, counted from when the queue was made.
    Aging { handicap: Arc<Read<T, Duration>>, since: Instant },
    /// By the key of the item.
    Key(Arc<Read<T, K>>),
}

/// A function of the user that reads a rank, a handicap or a key from an item.
pub(crate) type Read<T, R> = dyn Fn(&T) -> R + Send + Sync;

impl<K> SortKey<K> {
    pub(crate) const fn ranked(rank: u32) -> Self {
        Self { rank: NonZeroU32::MIN.saturating_add(rank), key: None }
    }

    pub(crate) const fn rank(&self) -> u32 {
        self.rank.get() - 1
    }
}

impl<T, K> Order<T, K> {
    /// The sort key of an item that comes now. It calls the user's function, unless the order is that of arrival.
    #[inline]
    pub(crate) fn sort_key_of(&self, item: &T) -> SortKey<K> {
        // Most queues have no such function. This check first spares them a jump table.
        if let Self::Arrival = self { SortKey::ranked(0) } else { self.read(item) }
    }

    fn read(&self, item: &T) -> SortKey<K> {
        match self {
            Self::Arrival => SortKey::ranked(0),
            Self::Rank(rank) => SortKey::ranked(rank(item)),
            Self::Aging { handicap, since } => {
                SortKey::ranked(ticks(since.elapsed().saturating_add(handicap(item))))
            }
            Self::Key(key) => SortKey { key: Some(key(item)), ..SortKey::ranked(BY_KEY) },
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
