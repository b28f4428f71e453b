//! Chance that does not depend on the order of arrival. Every draw is a function of its key.

/// A stable 64-bit hash (FNV-1a). The same bytes give the same number on every machine and in every version, which
/// the standard library's hasher does not promise. It is not safe against
/// an attacker, who can easily make two inputs collide.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a draw is for, so that two draws for one attempt are independent of each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Latency,
    FirstToken,
    Length,
    Words,
    RequestId,
    /// Which items of a plan are struck by which fault.
    Ranks,
    /// How long a request takes to arrive.
    WayIn,
    /// How far a count of tokens is from the average.
    Count,
    /// When the calls of other users come, and what they take.
    OtherCall,
    /// The rule at this place in the list of faults.
    Rule(usize),
}

/// A stream of numbers fixed by its key: `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014), which needs one word of
/// state and passes the usual tests. Nothing here is a secret.
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn keyed(seed: u64, body: u64, attempt: u32, purpose: Purpose) -> Self {
        let purpose = match purpose {
            Purpose::Latency => 1,
            Purpose::FirstToken => 2,
            Purpose::Length => 3,
            Purpose::Words => 4,
            Purpose::RequestId => 5,
            Purpose::Rule(index) => 6 + index as u64,
            // Counted from the other end, so that they never equal a rule.
            Purpose::Ranks => u64::MAX,
            Purpose::Count => u64::MAX - 1,
            Purpose::WayIn => u64::MAX - 2,
            Purpose::OtherCall => u64::MAX - 3,
        };
        // Each part goes through a whole mixing step, so that similar keys give independent numbers.
        let state = [body, u64::from(attempt), purpose]
            .into_iter()
            .fold(seed, |state, part| Self(state ^ part).next());
        Self(state)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `low..=high`; `low` if the range is empty.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let width = u128::from(high.saturating_sub(low)) + 1;
        low + ((u128::from(self.next()) * width) >> 64) as u64
    }

    /// Standard normal (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests;
