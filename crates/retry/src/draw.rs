//! Random draws that a seed repeats.

use std::{
    hash::{BuildHasher, RandomState},
    num::NonZeroU64,
    time::Duration,
};

/// A seed that no other run has. std draws the keys of a thread's first hasher from the system, and counts up for each
/// further hasher. `SipHash` makes 64 unrelated bits of each count.
#[cold]
pub(crate) fn fresh_seed() -> NonZeroU64 {
    seed(RandomState::new().hash_one(()))
}

/// A seed of zero is allowed. It is stored as another number, because `Option<NonZeroU64>` uses zero for `None`.
pub(crate) const fn seed(seed: u64) -> NonZeroU64 {
    match NonZeroU64::new(seed) {
        Some(seed) => seed,
        None => NonZeroU64::MAX,
    }
}

/// The random draws of one run. Each is a function of the seed and its index alone, so what a retry draws does not depend
/// on other draws.
///
/// The generator is `SplitMix64`, read at a chosen index: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators" (OOPSLA 2014). Its 64 bits are enough for jitter, and its state is one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) seed: u64,
    pub(crate) index: u64,
}

impl Draw {
    /// Independent draws for the part with this number.
    pub(crate) fn child(seed: u64, part: u64) -> Self {
        let seed = Self { seed, index: !part }.next();
        Self { seed, index: 0 }
    }

    /// The draws of this retry. There are at most two: one for the shape and one for the jitter.
    pub(crate) fn at(self, retry: u32) -> Self {
        Self { index: u64::from(retry) * 2, ..self }
    }

    fn next(&mut self) -> u64 {
        self.index = self.index.wrapping_add(1);
        let z = self.seed.wrapping_add(self.index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform draw between the two, both included. It is in whole nanoseconds, unless the two are more than 500 years
    /// apart. Where `low` is above `high`, it is `high`.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        if low >= high {
            return high;
        }
        let span = (high - low).as_nanos();
        let drop = 64_u32.saturating_sub(span.leading_zeros());
        let scaled = ((span >> drop) + 1) * u128::from(self.next());
        low + nanos(((scaled >> 64) << drop).min(span))
    }
}

fn nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let secs = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Duration::new(secs, (nanos % SECOND) as u32)
}
