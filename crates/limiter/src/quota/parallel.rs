//! A bound on requests in flight, learned from refusals that name it, or that nothing else explains.

/// The bound. After a refusal it is below the number that was in flight, and then grows again by one at a time.
#[derive(Debug)]
pub(super) struct ParallelBound {
    /// `usize::MAX` while nothing is known.
    bound: usize,
    /// Successes at the bound since it last changed.
    successes: usize,
    /// How often a raised bound was refused. Each time, the next raise takes twice as many successes.
    failures: u32,
    is_raised: bool,
    guess: Guess,
}

/// The guess whether unexplained refusals are because of the number in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    None,
    /// There was an unexplained refusal. `tested` says whether one request has been admitted as a test.
    Suspected {
        tested: bool,
    },
    /// A request within the bound was admitted during the wait, and succeeded.
    Confirmed,
    /// A request within the bound was refused.
    Refuted,
}

/// The cause of an unexplained refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Too many requests are in flight. When another one ends there is room.
    Parallel,
    /// Perhaps too many are in flight. The wait holds until a test request has shown it.
    Suspected,
    /// The rate is the cause.
    Rate,
}

/// What a success says about the guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    Nothing,
    /// A request has ended, so one test request may be admitted.
    Room,
    /// The number in flight is the cause, so the wait is not needed.
    Parallel,
}

impl ParallelBound {
    pub(super) const fn new() -> Self {
        Self { bound: usize::MAX, successes: 0, failures: 0, is_raised: false, guess: Guess::None }
    }

    pub(super) fn get(&self) -> usize {
        self.bound
    }

    /// One of `in_flight` requests was refused.
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

    /// One of `in_flight` requests was refused, and neither the refusal nor the rate explains why. It is `news` if the request
    /// was sent after the last refusal came.
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

    /// A request has succeeded. `sent_after` says whether it was sent after the last refusal came.
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

    /// One of `in_flight` requests has succeeded.
    pub(super) fn succeeded(&mut self, in_flight: usize) {
        if self.bound == usize::MAX || in_flight < self.bound {
            return;
        }
        self.successes += 1;
        // A round of successes, as in `Aimd`.
        if self.successes >= self.bound.saturating_mul(1 << self.failures) {
            (self.bound, self.successes, self.is_raised) = (self.bound + 1, 0, true);
        }
    }
}
