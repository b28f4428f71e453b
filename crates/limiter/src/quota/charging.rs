//! How a server counts the tokens of a call, as far as that is known.

/// When a server takes the tokens of a call from the quota, and how many it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Charging {
    /// It takes the estimate when the call comes, and never corrects it.
    Estimate,
    /// It takes the estimate when the call comes, and gives back at the end what was not used.
    Settle,
    /// It takes what the call really uses.
    Actual,
}

/// The evidence is judged whenever this many seconds' worth of the rate was estimated and not used. The goodput bench shows no
/// difference from 1 to 9.
const WEIGHED: f64 = 3.0;

/// The readings contradict the assumption if they moved the level by this share of what was not used. The goodput bench shows
/// no difference from 0.4 to 0.9.
const CONTRADICTS: f64 = 0.7;

/// Whether unused tokens come back at the server, judged by how the readings move the level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unused {
    pub(super) comes_back: bool,
    /// What was estimated and not used, and how far readings have moved the level against the assumption.
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
        // A wrap after 2^64 units does no harm.
        self.unused = self.unused.wrapping_add(unused);
    }

    /// A reading has moved the level by this many units, up or down.
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

    /// Ten calls, each with 40 unused units. After each, a reading moves the level by `moved`.
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
        assert!(comes_back(unknown, 0.0) && !comes_back(estimate, 0.0), "the assumption stays");
        assert!(comes_back(unknown, -20.0) && !comes_back(estimate, 20.0), "noise");
        assert!(
            !comes_back(unknown, -40.0) && comes_back(estimate, 40.0),
            "the readings contradict it each time"
        );
        assert!(
            comes_back(unknown, 40.0) && !comes_back(estimate, -40.0),
            "a move in the other direction is no evidence"
        );
    }
}
