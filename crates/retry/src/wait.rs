use std::time::Duration;

use crate::draw::Draw;

#[cfg(test)]
mod tests;

/// How long to wait before each retry. Plain `Copy` data, usable in a `const`.
///
/// A shape says how the wait grows from retry to retry, a jitter spreads it, [`min`](Self::min) and
/// [`max`](Self::max) bound the result:
///
/// | setter | default |
/// |---|---|
/// | [`factor`](Self::factor), of an exponential wait | 2 |
/// | [`min`](Self::min) | zero |
/// | [`max`](Self::max) | none |
/// | jitter | none |
///
/// In the formulae, *n* is 1 for the first retry and *U(a, b)* is drawn uniformly, both ends included. Everything
/// saturates: no number of retries and no duration makes a wait overflow or shrink.
///
/// The jitters are those of Marc Brooker, "Exponential backoff and jitter" (AWS Architecture Blog, 2015), where full and
/// decorrelated jitter needed the fewest calls.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a wait does nothing until a policy has it"]
pub struct Wait {
    shape: Shape,
    jitter: Jitter,
    min: Duration,
    max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    None,
    Fixed(Duration),
    Random(Duration, Duration),
    Incrementing { start: Duration, step: Duration },
    Exponential { base: Duration, factor: f64 },
    Fibonacci(Duration),
    Steps(&'static [Duration]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Jitter {
    None,
    Full,
    Equal,
    Decorrelated,
    Additive(Duration),
}

impl Wait {
    const fn new(shape: Shape) -> Self {
        Self { shape, jitter: Jitter::None, min: Duration::ZERO, max: Duration::MAX }
    }

    /// No wait: the next attempt follows at once, whatever else is set here. Of many in a row, one in 32 lets other
    /// tasks run first.
    pub const fn none() -> Self {
        Self::new(Shape::None)
    }

    /// Always the same.
    pub const fn fixed(wait: Duration) -> Self {
        Self::new(Shape::Fixed(wait))
    }

    /// *U(low, high)*. Where `low` is above `high` it is `high`.
    pub const fn random(low: Duration, high: Duration) -> Self {
        Self::new(Shape::Random(low, high))
    }

    /// *start + (n - 1) · step*.
    pub const fn incrementing(start: Duration, step: Duration) -> Self {
        Self::new(Shape::Incrementing { start, step })
    }

    /// *base · factor^(n - 1)*, with a [`factor`](Self::factor) of 2 unless another is set.
    pub const fn exponential(base: Duration) -> Self {
        Self::new(Shape::Exponential { base, factor: 2.0 })
    }

    /// *base · F(n)* with the Fibonacci numbers 1, 1, 2, 3, 5, 8, ...
    pub const fn fibonacci(base: Duration) -> Self {
        Self::new(Shape::Fibonacci(base))
    }

    /// Each in turn, and then the last one for ever. An empty list is [`none`](Self::none).
    pub const fn steps(steps: &'static [Duration]) -> Self {
        Self::new(Shape::Steps(steps))
    }

    /// The growth of an [`exponential`](Self::exponential) wait; other shapes ignore it. A factor below one, infinite or
    /// not a number counts as one.
    pub const fn factor(mut self, factor: f64) -> Self {
        if let Shape::Exponential { base, .. } = self.shape {
            let factor = if factor >= 1.0 && factor.is_finite() { factor } else { 1.0 };
            self.shape = Shape::Exponential { base, factor };
        }
        self
    }

    /// No wait is shorter than this, jitter included. Where it is above [`max`](Self::max), `max` counts.
    pub const fn min(mut self, min: Duration) -> Self {
        self.min = min;
        self
    }

    /// No wait is longer than this, jitter included. The growing wait is capped before a jitter shortens it, so that
    /// the waits stay spread at the cap.
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// *U(0, t)* instead of *t*: spreads best.
    pub const fn full_jitter(mut self) -> Self {
        self.jitter = Jitter::Full;
        self
    }

    /// *t/2 + U(0, t/2)* instead of *t*: never less than half.
    pub const fn equal_jitter(mut self) -> Self {
        self.jitter = Jitter::Equal;
        self
    }

    /// *min(max, U(first, 3 · previous))* instead of *t*: it grows by itself from the shape's first wait.
    pub const fn decorrelated_jitter(mut self) -> Self {
        self.jitter = Jitter::Decorrelated;
        self
    }

    /// *t + U(0, extra)* instead of *t*. At the cap, *t* makes room: it is at most *max - extra*.
    pub const fn additive_jitter(mut self, extra: Duration) -> Self {
        self.jitter = Jitter::Additive(extra);
        self
    }

    /// The wait before retry `retry`, counted from 1, in the run with this seed: for a loop that waits by this shape
    /// without charging an attempt ([`Verdict::RetryFree`](crate::Verdict::RetryFree)). Decorrelated jitter, which
    /// follows the wait before, knows of none here.
    pub fn delay(&self, retry: u32, seed: u64) -> Duration {
        self.drawn(retry, Duration::ZERO, seed)
    }

    /// Whether there is never a wait, whatever else is set.
    #[inline]
    pub(crate) const fn is_none(&self) -> bool {
        matches!(self.shape, Shape::None)
    }

    /// The wait before retry `retry` (from 1), after one of `previous`. `seed` gives the run's seed, and is asked only
    /// where something is drawn.
    pub(crate) fn before(&self, retry: u32, previous: Duration, seed: impl FnOnce() -> u64) -> Duration {
        if self.is_none() {
            return Duration::ZERO;
        }
        let draws = self.jitter != Jitter::None || matches!(self.shape, Shape::Random(..));
        self.drawn(retry, previous, if draws { seed() } else { 0 })
    }

    fn drawn(&self, retry: u32, previous: Duration, seed: u64) -> Duration {
        // Two draws at most for each retry: one for the shape, one for the jitter.
        let mut draw = Draw { seed, index: u64::from(retry) * 2 };
        let wait = match self.jitter {
            Jitter::None => self.grown(retry, &mut draw),
            Jitter::Full => {
                let wait = self.grown(retry, &mut draw).min(self.max);
                draw.between(Duration::ZERO, wait)
            }
            Jitter::Equal => {
                let wait = self.grown(retry, &mut draw).min(self.max);
                draw.between(wait / 2, wait)
            }
            Jitter::Decorrelated => {
                let first = self.grown(1, &mut draw);
                let previous = if retry <= 1 { first } else { previous };
                draw.between(first.min(self.max), previous.saturating_mul(3).max(first).min(self.max))
            }
            Jitter::Additive(extra) => {
                let wait = self.grown(retry, &mut draw).min(self.max.saturating_sub(extra));
                draw.between(wait, wait.saturating_add(extra))
            }
        };
        wait.max(self.min).min(self.max)
    }

    fn grown(&self, retry: u32, draw: &mut Draw) -> Duration {
        let before = retry.saturating_sub(1);
        match self.shape {
            Shape::None => Duration::ZERO,
            Shape::Fixed(wait) => wait,
            Shape::Random(low, high) => draw.between(low, high),
            Shape::Incrementing { start, step } => start.saturating_add(step.saturating_mul(before)),
            Shape::Exponential { base, factor } => exponential(base, factor, before),
            Shape::Fibonacci(base) => base.saturating_mul(fibonacci(retry)),
            Shape::Steps(steps) => {
                let index = usize::try_from(before).unwrap_or(usize::MAX);
                steps.get(index).or(steps.last()).copied().unwrap_or(Duration::ZERO)
            }
        }
    }
}

fn exponential(base: Duration, factor: f64, power: u32) -> Duration {
    let growth = factor.powi(i32::try_from(power).unwrap_or(i32::MAX));
    // Zero times infinity is not a number, but zero is what grows to zero. Beyond the range it is the range's end.
    if base.is_zero() {
        return base;
    }
    Duration::try_from_secs_f64(base.as_secs_f64() * growth).unwrap_or(Duration::MAX)
}

fn fibonacci(n: u32) -> u32 {
    let (mut this, mut next) = (0_u32, 1_u32);
    for _ in 0..n {
        if this == u32::MAX {
            break;
        }
        (this, next) = (next, this.saturating_add(next));
    }
    this
}
