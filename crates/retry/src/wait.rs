//! The waits between attempts: their shape, their jitter and their bounds.

use std::time::Duration;

use crate::{draw::Draw, nanos::Nanos};

mod iter;
#[cfg(test)]
mod tests;

pub use iter::Waits;

/// How long to wait before each retry. Plain `Copy` data, usable in a `const`.
///
/// The shape says how the wait grows from retry to retry. The jitter spreads it. [`min`](Self::min) and
/// [`max`](Self::max) bound the result:
///
/// | setter | default |
/// |---|---|
/// | [`factor`](Self::factor), of an exponential wait | 2 |
/// | [`min`](Self::min) | zero |
/// | [`max`](Self::max) | none |
/// | jitter | none |
///
/// In the formulae, *n* is 1 for the first retry, *t* is the wait by the shape, and *U(a, b)* is a uniform draw, both
/// ends included. All arithmetic saturates: no number of retries and no duration makes a wait overflow or shrink.
///
/// A draw is made between bounds that lie within `min` and `max`. A draw that was clamped afterwards would send many
/// clients back at the same instant.
///
/// The jitters are those of Marc Brooker, "Exponential backoff and jitter" (AWS Architecture Blog, 2015), where full and
/// decorrelated jitter needed the fewest calls.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a wait does nothing until a policy has it"]
pub struct Wait {
    shape: Shape,
    jitter: Jitter,
    min: Nanos,
    max: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    None,
    Fixed(Nanos),
    Random(Nanos, Nanos),
    Incrementing { start: Nanos, step: Nanos },
    Exponential { base: Nanos, factor: f64 },
    Fibonacci(Nanos),
    Steps(&'static [Duration]),
    Sum(&'static [Wait]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Jitter {
    None,
    Full,
    Equal,
    Decorrelated,
    Additive(Nanos),
    Proportional(f64),
}

impl Wait {
    const fn new(shape: Shape) -> Self {
        Self { shape, jitter: Jitter::None, min: Nanos::ZERO, max: Nanos::MAX }
    }

    /// No wait: the next attempt follows at once, whatever else is set here. Of many such retries in a row, one in 32
    /// lets other tasks run first.
    pub const fn none() -> Self {
        Self::new(Shape::None)
    }

    /// Always the same wait.
    pub const fn fixed(wait: Duration) -> Self {
        Self::new(Shape::Fixed(Nanos::new(wait)))
    }

    /// *U(low, high)*. Where `low` is above `high` it is `high`.
    pub const fn random(low: Duration, high: Duration) -> Self {
        Self::new(Shape::Random(Nanos::new(low), Nanos::new(high)))
    }

    /// *start + (n - 1) · step*.
    pub const fn incrementing(start: Duration, step: Duration) -> Self {
        Self::new(Shape::Incrementing { start: Nanos::new(start), step: Nanos::new(step) })
    }

    /// *base · factor^(n - 1)*, with a [`factor`](Self::factor) of 2 unless another is set.
    pub const fn exponential(base: Duration) -> Self {
        Self::new(Shape::Exponential { base: Nanos::new(base), factor: 2.0 })
    }

    /// *base · F(n)* with the Fibonacci numbers 1, 1, 2, 3, 5, 8, ...
    pub const fn fibonacci(base: Duration) -> Self {
        Self::new(Shape::Fibonacci(Nanos::new(base)))
    }

    /// Each of the steps in turn, and then always the last one. An empty list is [`none`](Self::none).
    pub const fn steps(steps: &'static [Duration]) -> Self {
        Self::new(Shape::Steps(steps))
    }

    /// The sum of several, each with its own jitter and bounds, as tenacity's `a + b` makes it. An empty list is
    /// [`none`](Self::none).
    ///
    /// [`min`](Self::min) and [`max`](Self::max) of the sum shift the whole range of draws, and do not clamp it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_retry::Wait;
    ///
    /// const WAIT: Wait = Wait::sum(&[
    ///     Wait::exponential(Duration::from_secs(1)).max(Duration::from_secs(60)),
    ///     Wait::random(Duration::ZERO, Duration::from_secs(2)),
    /// ]);
    /// let fourth = WAIT.delay(4, 1);
    /// assert!((Duration::from_secs(8)..=Duration::from_secs(10)).contains(&fourth));
    /// ```
    pub const fn sum(waits: &'static [Self]) -> Self {
        Self::new(if waits.is_empty() { Shape::None } else { Shape::Sum(waits) })
    }

    /// The growth of an [`exponential`](Self::exponential) wait. Other shapes ignore it. A factor that is below one,
    /// infinite or not a number counts as one.
    pub const fn factor(mut self, factor: f64) -> Self {
        if let Shape::Exponential { base, .. } = self.shape {
            let factor = if factor >= 1.0 && factor.is_finite() { factor } else { 1.0 };
            self.shape = Shape::Exponential { base, factor };
        }
        self
    }

    /// No wait is shorter than this, jitter included. Where it is above [`max`](Self::max), `max` counts.
    ///
    /// A jitter that draws from zero, or from a half of the wait, draws from this minimum instead. Where the wait is still
    /// below twice the minimum, it is drawn from up to twice the minimum (and never above `max`), so that the first waits
    /// are spread too.
    pub const fn min(mut self, min: Duration) -> Self {
        self.min = Nanos::new(min);
        self
    }

    /// No wait is longer than this, jitter included. The growing wait is capped before the jitter shortens it, so that
    /// waits are still spread when they have reached the cap.
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = Nanos::new(max);
        self
    }

    /// *U(0, t)* instead of *t*. It spreads best.
    pub const fn full_jitter(mut self) -> Self {
        self.jitter = Jitter::Full;
        self
    }

    /// *t/2 + U(0, t/2)* instead of *t*. It is never less than half.
    pub const fn equal_jitter(mut self) -> Self {
        self.jitter = Jitter::Equal;
        self
    }

    /// *min(max, U(first, 3 · previous))* instead of *t*, where *first* is the first wait of the shape and *previous* the
    /// wait before.
    pub const fn decorrelated_jitter(mut self) -> Self {
        self.jitter = Jitter::Decorrelated;
        self
    }

    /// *t + U(0, extra)* instead of *t*. Near the cap, *t* is limited to *max - extra*.
    pub const fn additive_jitter(mut self, extra: Duration) -> Self {
        self.jitter = Jitter::Additive(Nanos::new(extra));
        self
    }

    /// The wait before retry `retry`, counted from 1, in the run with this seed. It is meant for a loop that waits by this
    /// shape without charging an attempt ([`Verdict::RetryFree`](crate::Verdict::RetryFree)). Decorrelated jitter depends
    /// on the wait before; here it is drawn as if that had been zero.
    pub fn delay(&self, retry: u32, seed: u64) -> Duration {
        self.draw(retry, Duration::ZERO, seed)
    }

    /// *t + U(0, share · t)* instead of *t*: `jitter(0.1)` adds up to a tenth. Near the cap, *t* is limited to
    /// *max / (1 + share)*. A share that is below zero, infinite or not a number counts as zero.
    pub const fn jitter(mut self, share: f64) -> Self {
        self.jitter = Jitter::Proportional(if share >= 0.0 && share.is_finite() { share } else { 0.0 });
        self
    }

    /// The waits before the first retry, the second and so on, in the run with this seed. It has no end.
    ///
    /// ```
    /// use std::time::Duration;
    /// use outbound_retry::Wait;
    ///
    /// let waits: Vec<_> = Wait::exponential(Duration::from_secs(1)).iter(0).take(4).collect();
    /// assert_eq!(waits, [1, 2, 4, 8].map(Duration::from_secs));
    /// ```
    pub const fn iter(self, seed: u64) -> Waits {
        Waits::new(self, seed)
    }

    /// Whether it never waits, whatever else is set.
    #[inline]
    pub(crate) const fn is_none(&self) -> bool {
        matches!(self.shape, Shape::None)
    }

    /// The wait before retry `retry` (from 1), where the wait before was `previous`. `seed` gives the seed of the run. It
    /// is called only where something is drawn.
    pub(crate) fn before(&self, retry: u32, previous: Duration, seed: impl FnOnce() -> u64) -> Duration {
        if self.is_none() {
            return Duration::ZERO;
        }
        self.draw(retry, previous, if self.is_random() { seed() } else { 0 })
    }

    fn is_random(&self) -> bool {
        self.jitter != Jitter::None
            || match self.shape {
                Shape::Random(..) => true,
                Shape::Sum(waits) => waits.iter().any(Self::is_random),
                _ => false,
            }
    }

    pub(crate) fn draw(&self, retry: u32, previous: Duration, seed: u64) -> Duration {
        let mut draw = Draw { seed, index: 0 }.at(retry);
        let (low, high) = self.range(retry, previous, &mut draw);
        draw.between(low, high)
    }

    /// The range that the wait is drawn from, within `min` and `max`.
    fn range(&self, retry: u32, previous: Duration, draw: &mut Draw) -> (Duration, Duration) {
        let (min, max) = self.bounds();
        let grown = match (self.shape, self.jitter) {
            (Shape::Random(low, high), Jitter::None) => {
                return (low.get().clamp(min, max), high.get().clamp(min, max));
            }
            (_, Jitter::Decorrelated) => self.grown(1, draw),
            _ => self.grown(retry, draw),
        };
        match self.jitter {
            Jitter::None => {
                let wait = grown.clamp(min, max);
                (wait, wait)
            }
            Jitter::Full => self.spread(Duration::ZERO, grown),
            Jitter::Equal => self.spread(grown.min(max) / 2, grown),
            Jitter::Decorrelated => {
                let previous = if retry <= 1 { grown } else { previous };
                self.spread(grown, previous.saturating_mul(3).max(grown))
            }
            Jitter::Additive(extra) => {
                let extra = extra.get();
                let low = grown.max(min).min(max.saturating_sub(extra)).max(min);
                (low, low.saturating_add(extra).min(max))
            }
            Jitter::Proportional(share) => {
                // Floating point rounds by a nanosecond or so, so the bounds are applied last.
                let low = grown.max(min).min(scaled(max, 1.0 / (1.0 + share))).clamp(min, max);
                (low, scaled(low, 1.0 + share).clamp(low, max))
            }
        }
    }

    /// The range from `low` to `high`. Where `low` is below `min`, from `min` to at least twice `min`.
    fn spread(&self, low: Duration, high: Duration) -> (Duration, Duration) {
        let (min, max) = self.bounds();
        let high = if low < min { high.max(min.saturating_mul(2)) } else { high };
        (low.max(min).min(max), high.min(max))
    }

    fn bounds(&self) -> (Duration, Duration) {
        (self.min.min(self.max).get(), self.max.get())
    }

    fn grown(&self, retry: u32, draw: &mut Draw) -> Duration {
        let before = retry.saturating_sub(1);
        match self.shape {
            Shape::None => Duration::ZERO,
            Shape::Fixed(wait) => wait.get(),
            Shape::Random(low, high) => draw.between(low.get(), high.get()),
            Shape::Incrementing { start, step } => {
                start.get().saturating_add(step.get().saturating_mul(before))
            }
            Shape::Exponential { base, factor } => exponential(base.get(), factor, before),
            Shape::Fibonacci(base) => base.get().saturating_mul(fibonacci(retry)),
            Shape::Steps(steps) => {
                let index = usize::try_from(before).unwrap_or(usize::MAX);
                steps.get(index).or(steps.last()).copied().unwrap_or(Duration::ZERO)
            }
            Shape::Sum(waits) => self.sum_of(waits, retry, draw),
        }
    }

    /// The sum of the parts, each with draws of its own. Where a bound lies inside the range of the sum, the whole range
    /// is shifted.
    fn sum_of(&self, waits: &[Self], retry: u32, draw: &Draw) -> Duration {
        let zero = Duration::ZERO;
        let (mut sum, mut low, mut high) = (zero, zero, zero);
        for (part, wait) in (0..).zip(waits) {
            if wait.is_none() {
                continue;
            }
            let mut draw = Draw::child(draw.seed, part).at(retry);
            // The previous wait is known for the sum only, so a decorrelated part starts anew each time.
            let range = wait.range(retry, zero, &mut draw);
            sum = sum.saturating_add(draw.between(range.0, range.1));
            (low, high) = (low.saturating_add(range.0), high.saturating_add(range.1));
        }
        let (min, max) = self.bounds();
        let down = high.saturating_sub(max);
        let up = min.saturating_sub(low.saturating_sub(down));
        sum.saturating_sub(down).saturating_add(up)
    }
}

/// *wait · factor*, or `Duration::MAX` where that is out of range.
fn scaled(wait: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

fn exponential(base: Duration, factor: f64, power: u32) -> Duration {
    let growth = factor.powi(i32::try_from(power).unwrap_or(i32::MAX));
    // Zero times infinity is not a number, but a wait of zero stays zero.
    if base.is_zero() { base } else { scaled(base, growth) }
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
