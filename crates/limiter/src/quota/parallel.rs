//! How many a server lets be in flight at once, learned from refusals that say so, or that nothing else explains.

/// A bound on what is in flight: below what it was when a request was refused for it, then up again by one at a time.
#[derive(Debug)]
pub(super) struct ParallelBound {
    /// `usize::MAX` while nothing is known.
    bound: usize,
    /// Successes at the bound since it last changed.
    successes: usize,
    /// Attempts to raise it that failed: each makes the next come half as soon.
    failures: u32,
    is_raised: bool,
    guess: Guess,
}

/// Whether refusals that do not say so are for what is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    None,
    /// There was one, and nothing else that explains it. Whether one has been let through to see.
    Suspected {
        tested: bool,
    },
    /// One that kept the bound was let through although the wait was not over, and succeeded.
    Confirmed,
    /// One that kept the bound was refused.
    Refuted,
}

/// What a refusal that does not say so means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Too many are in flight: when another ends there is room.
    Parallel,
    /// Perhaps so: the wait holds until one more has been tried.
    Suspected,
    /// The rate is the cause.
    Rate,
}

/// What a success says about a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    Nothing,
    /// Something that was let through has ended: one more may be tried.
    Room,
    /// The wait is for nothing.
    Parallel,
}

impl ParallelBound {
    pub(super) const fn new() -> Self {
        Self { bound: usize::MAX, successes: 0, failures: 0, is_raised: false, guess: Guess::None }
    }

    pub(super) fn get(&self) -> usize {
        self.bound
    }

    /// One of so many in flight was refused.
    pub(super) fn refused(&mut self, in_flight: usize) {
        let below = in_flight.saturating_sub(1).max(1);
        if below >= self.bound {
            return;
        }
        if std::mem::take(&mut self.is_raised) {
            self.failures = (self.failures + 1).min(16);
        }
        (self.bound, self.successes) = (below, 0);
    }

    /// One of so many in flight was refused, the refusal does not say so, and the rate does not explain it. It is `news`
    /// if it was sent after the last one was heard.
    pub(super) fn unexplained(&mut self, in_flight: usize, news: bool) -> Cause {
        if self.guess == Guess::Refuted {
            return Cause::Rate;
        }
        if self.guess != Guess::None && news && in_flight <= self.bound && !self.is_raised {
            (self.bound, self.guess) = (usize::MAX, Guess::Refuted);
            return Cause::Rate;
        }
        self.refused(in_flight);
        if self.guess == Guess::Confirmed {
            return Cause::Parallel;
        }
        if self.guess == Guess::None {
            self.guess = Guess::Suspected { tested: false };
        }
        Cause::Suspected
    }

    /// A request has succeeded that was sent after the last refusal was heard, or before.
    pub(super) fn evidence(&mut self, sent_after: bool) -> Evidence {
        match self.guess {
            Guess::Suspected { .. } if sent_after => {
                self.guess = Guess::Confirmed;
                Evidence::Parallel
            }
            Guess::Suspected { tested: false } => {
                self.guess = Guess::Suspected { tested: true };
                Evidence::Room
            }
            _ => Evidence::Nothing,
        }
    }

    /// One of so many in flight has succeeded.
    pub(super) fn succeeded(&mut self, in_flight: usize) {
        if self.bound == usize::MAX || in_flight < self.bound {
            return;
        }
        self.successes += 1;
        // A round of successes, as in Aimd.
        if self.successes >= self.bound.saturating_mul(1 << self.failures) {
            (self.bound, self.successes, self.is_raised) = (self.bound + 1, 0, true);
        }
    }
}
