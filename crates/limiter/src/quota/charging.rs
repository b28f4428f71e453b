//! How a server takes the tokens of a call, as far as that is known.

/// When a server takes the tokens of a call from the quota, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Charging {
    /// What was estimated, when the call comes; never corrected.
    Estimate,
    /// The same, and what was not used is given back at the end.
    Settle,
    /// What the call really takes.
    Actual,
}

/// The evidence is weighed whenever so many seconds' worth of the rate was estimated and not used. From 1 to 9 nothing changes
/// in the bench of goodput.
const WEIGHED: f64 = 3.0;

/// The readings contradict what is believed if they took or gave this part of what was not used. From 0.4 to 0.9 nothing
/// changes.
const CONTRADICTS: f64 = 0.7;

/// Whether what was not used comes back, judged by what the readings make of the level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unused {
    pub(super) comes_back: bool,
    /// What was estimated and not used, and what readings have moved the level against what is believed.
    unused: u64,
    moved: f64,
}

impl Unused {
    pub(super) fn new(charging: Option<Charging>) -> Self {
        Self { comes_back: charging != Some(Charging::Estimate), unused: 0, moved: 0.0 }
    }

    /// A call has ended that used less than was estimated.
    #[inline]
    pub(super) fn ended(&mut self, unused: u64) {
        // That it begins anew after 2^64 units does no harm.
        self.unused = self.unused.wrapping_add(unused);
    }

    /// A reading has moved the level by so many units, up or down.
    pub(super) fn moved(&mut self, by: f64, per_second: f64) {
        self.moved += if self.comes_back { (-by).max(0.0) } else { by.max(0.0) };
        let unused = self.unused as f64;
        if unused >= WEIGHED * per_second.max(1.0) {
            self.comes_back ^= self.moved >= CONTRADICTS * unused;
            (self.unused, self.moved) = (0, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Charging, Unused};

    /// Ten calls that did not use 40 units each, after each of which a reading moved the level by so much.
    fn comes_back(mut unused: Unused, moved: f64) -> bool {
        for _ in 0..10 {
            unused.ended(40);
            unused.moved(moved, 100.0);
        }
        unused.comes_back
    }

    #[test]
    fn readings_that_contradict_are_believed() {
        let (unknown, estimate) = (Unused::new(None), Unused::new(Some(Charging::Estimate)));
        assert!(comes_back(unknown, 0.0) && !comes_back(estimate, 0.0), "as told");
        assert!(comes_back(unknown, -20.0) && !comes_back(estimate, 20.0), "noise");
        assert!(!comes_back(unknown, -40.0) && comes_back(estimate, 40.0), "all of it, each time");
        assert!(comes_back(unknown, 40.0) && !comes_back(estimate, -40.0), "the other way round");
    }
}
