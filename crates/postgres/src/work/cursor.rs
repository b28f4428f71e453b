//! From where a claim looks for work.
//!
//! A row that was claimed leaves a dead entry in the index of open work. While a transaction is open that began before, as a
//! backup's or a report's, dead entries stay, and a look from the beginning reads all of them. So a claim looks behind the last
//! item that it got. What has a lower rank, because it came back or was pushed with a higher priority, is found by a look from the
//! beginning, once a second, or when a claim finds less than it asked for.

use std::time::Duration;

use tokio::time::Instant;

/// How often a claim looks from the beginning, and takes back what expired.
const PERIOD: Duration = Duration::from_secs(1);

/// How far back a periodic look for expired leases goes. What expired before was taken back by an earlier look, or is by a full
/// one.
const RECENT_MICROS: i64 = 30_000_000;

/// How often all expired leases are looked for.
const FULL_PERIOD: Duration = Duration::from_secs(60);

/// The place of an item in the order of claiming: its rank, and its number.
pub(super) type Place = (i64, i64);

/// Before all items.
pub(super) const BEGINNING: Place = (i64::MIN, 0);

#[derive(Debug)]
pub(super) struct Cursor {
    /// The last item that was claimed.
    last: Place,
    looked: Option<Instant>,
    looked_fully: Option<Instant>,
}

/// What a claim does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// How far back expired leases are taken back, in microseconds; `None`: not at all.
    pub(super) rescue: Option<i64>,
    /// It looks behind this place.
    pub(super) behind: Place,
}

impl Look {
    /// Far enough for all expired leases: 200 years.
    pub(super) const ALL: i64 = 200 * 365 * 86_400 * 1_000_000;

    /// Whether there is nothing more to be found by looking again.
    pub(super) fn is_full(self) -> bool {
        self.behind == BEGINNING && matches!(self.rescue, Some(Self::ALL))
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self { last: BEGINNING, looked: None, looked_fully: None }
    }
}

impl Cursor {
    pub(super) fn next(&mut self, now: Instant) -> Look {
        let is_over = |last: Option<Instant>, period| last.is_none_or(|last| now >= last + period);
        if is_over(self.looked_fully, FULL_PERIOD) {
            (self.looked, self.looked_fully) = (Some(now), Some(now));
            return Look { rescue: Some(Look::ALL), behind: BEGINNING };
        }
        if is_over(self.looked, PERIOD) {
            self.looked = Some(now);
            return Look { rescue: Some(RECENT_MICROS), behind: BEGINNING };
        }
        Look { rescue: None, behind: self.last }
    }

    /// The last item of a claim.
    pub(super) const fn claimed(&mut self, last: Place) {
        self.last = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_from_the_beginning_once_a_second_and_at_all_expired_leases_once_a_minute() {
        let mut cursor = Cursor::default();
        let start = Instant::now();
        assert!(cursor.next(start).is_full());
        cursor.claimed((70, 7));
        assert_eq!(cursor.next(start), Look { rescue: None, behind: (70, 7) });
        let recent = Look { rescue: Some(RECENT_MICROS), behind: BEGINNING };
        assert_eq!(cursor.next(start + PERIOD), recent);
        assert_eq!(cursor.next(start + PERIOD), Look { rescue: None, behind: (70, 7) });
        assert_eq!(cursor.next(start + FULL_PERIOD - PERIOD), recent);
        assert!(cursor.next(start + FULL_PERIOD).is_full());
    }
}
