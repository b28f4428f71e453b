use std::time::Duration;

/// The random draws of one run, each a function of the seed and its index: which retry draws what depends on nothing
/// that happens elsewhere.
///
/// `SplitMix64`, from Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (OOPSLA 2014), read at a
/// chosen index. Its 64 bits are more than jitter needs, and its state is one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) seed: u64,
    pub(crate) index: u64,
}

impl Draw {
    fn next(&mut self) -> u64 {
        self.index = self.index.wrapping_add(1);
        let z = self.seed.wrapping_add(self.index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform between the two, both included, in whole nanoseconds while they are within 500 years of each other.
    /// Where `low` is above `high` it is `high`.
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
