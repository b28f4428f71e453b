//! Detects servers that close a connection right after a reply without announcing it.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a server closes its connections right after a reply, without announcing it.
///
/// A request that is sent on such a connection at that moment may have been processed or not. So after three such
/// connections in a row, connections to this origin are used only once, for a minute.
#[derive(Debug, Default)]
pub(super) struct EarlyEnds {
    seen: u32,
    until: Option<Instant>,
}

impl EarlyEnds {
    /// A connection that ends within this time after a reply was closed because of the reply.
    const MAX_DELAY: Duration = Duration::from_millis(100);
    /// A connection that served at least this many requests says nothing when it ends: servers have maxima, and
    /// restarts.
    const MANY_REQUESTS: u64 = 8;
    const IN_A_ROW: u32 = 3;
    const EXPECTED_FOR: Duration = Duration::from_secs(60);

    /// A connection ended `age` after its last reply, having served `requests` requests.
    pub(super) fn closed(&mut self, age: Duration, requests: u64, now: Instant) {
        if age >= Self::MAX_DELAY || requests > Self::MANY_REQUESTS {
            return;
        }
        self.seen += 1;
        if self.seen >= Self::IN_A_ROW {
            self.seen = 0;
            self.until = now.checked_add(Self::EXPECTED_FOR);
        }
    }

    /// A connection has served `requests` requests and is still open.
    #[inline]
    pub(super) fn served(&mut self, requests: u64) {
        if requests > Self::MANY_REQUESTS {
            self.seen = 0;
        }
    }

    /// Whether a connection is expected to end right after its reply.
    #[inline]
    pub(super) fn are_expected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_row_are_expected_to_go_on_for_a_minute() {
        let mut now = Instant::now();
        let mut ends = EarlyEnds::default();
        for round in 0..2 {
            for _ in 0..2 {
                ends.closed(Duration::from_millis(99), 8, now);
                assert!(!ends.are_expected(now), "{round}");
            }
            ends.closed(Duration::ZERO, 1, now);
            assert!(ends.are_expected(now + Duration::from_secs(59)));
            now += Duration::from_secs(60);
            assert!(!ends.are_expected(now));
        }
    }

    #[test]
    fn later_ends_ends_of_long_service_and_those_between_good_ones_are_not() {
        let now = Instant::now();
        let mut ends = EarlyEnds::default();
        for _ in 0..10 {
            ends.closed(Duration::from_millis(100), 1, now);
            ends.closed(Duration::ZERO, 9, now);
        }
        assert!(!ends.are_expected(now));
        for _ in 0..10 {
            ends.closed(Duration::ZERO, 1, now);
            ends.closed(Duration::ZERO, 1, now);
            ends.served(8);
            ends.served(9);
        }
        assert!(!ends.are_expected(now));
        ends.closed(Duration::ZERO, 1, now);
        ends.closed(Duration::ZERO, 1, now);
        ends.served(8);
        ends.closed(Duration::ZERO, 1, now);
        assert!(ends.are_expected(now));
    }
}
