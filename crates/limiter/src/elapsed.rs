//! The time between two instants, at the price of reading them.

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use tokio::time::Instant;

const PER_SECOND: i64 = 1_000_000_000;

/// The nanoseconds from one instant to another: negative if that is earlier. `None`: they are too far apart to tell at
/// once, or cannot be read.
///
/// Subtracting two instants is a call into the standard library that costs as much as all else that a bucket does. What
/// they consist of is told to nobody but a hasher; so it is asked for as if to be hashed. Whether that is seconds and
/// nanoseconds is decided when it is compiled; where it is not, they are subtracted after all.
#[inline]
pub(crate) fn nanos_at_once(from: Instant, to: Instant) -> Option<i64> {
    let ((from_s, from_ns), (to_s, to_ns)) = (read(from)?, read(to)?);
    let nanos = to_s.checked_sub(from_s)?.checked_mul(PER_SECOND)?.checked_add(to_ns - from_ns)?;
    debug_assert_eq!(nanos.max(0).cast_unsigned(), self::nanos(to.saturating_duration_since(from)));
    Some(nanos)
}

/// The nanoseconds from one instant to another: 0 if that is earlier, at most 292 years.
#[inline]
pub(crate) fn nanos_between(from: Instant, to: Instant) -> u64 {
    match nanos_at_once(from, to) {
        Some(nanos) => nanos.max(0).cast_unsigned(),
        None => nanos_subtracted(from, to),
    }
}

#[cold]
fn nanos_subtracted(from: Instant, to: Instant) -> u64 {
    nanos(to.saturating_duration_since(from)).min(i64::MAX.cast_unsigned())
}

/// In nanoseconds, at most 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// Seconds and nanoseconds.
#[inline]
fn read(instant: Instant) -> Option<(i64, i64)> {
    let mut parts = Parts::default();
    instant.hash(&mut parts);
    match parts {
        Parts { seconds: Some(seconds), nanos: Some(nanos), others: false } => Some((seconds, nanos)),
        _ => None,
    }
}

/// Takes note of one number of 64 bits, and one of 32 after it.
#[derive(Default)]
struct Parts {
    seconds: Option<i64>,
    nanos: Option<i64>,
    /// There was something else.
    others: bool,
}

impl Hasher for Parts {
    #[inline]
    fn write_i64(&mut self, seconds: i64) {
        self.others |= self.seconds.is_some() || self.nanos.is_some();
        self.seconds = Some(seconds);
    }

    #[inline]
    fn write_u64(&mut self, seconds: u64) {
        self.write_i64(seconds.cast_signed());
    }

    #[inline]
    fn write_u32(&mut self, nanos: u32) {
        self.others |= self.seconds.is_none() || self.nanos.is_some();
        self.nanos = Some(nanos.into());
    }

    #[inline]
    fn write(&mut self, _: &[u8]) {
        self.others = true;
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
