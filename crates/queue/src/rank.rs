//! What an item of a queue is ordered by.

use std::time::Duration;

use tokio::time::Instant;

/// Parts of a second that the ranks of an aging queue tell apart: 32 bits of them last for more than eight years.
const TICKS: u128 = 16;

/// Where the ranks of a queue's items come from.
pub(crate) enum Rank<T> {
    /// Items have none.
    None,
    /// Read off the item.
    Of(fn(&T) -> u32),
    /// When the item came plus its handicap, counted from when the queue was made.
    Aging { handicap: fn(&T) -> Duration, since: Instant },
}

impl<T> Rank<T> {
    /// The rank of an item that comes now.
    #[inline]
    pub(crate) fn of(&self, item: &T) -> u32 {
        match self {
            Self::None => 0,
            Self::Of(rank) => rank(item),
            Self::Aging { handicap, since } => ticks(since.elapsed().saturating_add(handicap(item))),
        }
    }
}

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis() * TICKS / 1000).unwrap_or(u32::MAX)
}

impl<T> Clone for Rank<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rank<T> {}
