//! The latest latencies, and the percentile that says what is slow.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[cfg(test)]
mod tests;

/// How long the latest calls took. It says what "slow" means, and is shared by all calls to a server.
///
/// It keeps the latest 256 latencies and forgets older ones, so that it follows a server that changes. It is a handle:
/// clones share what was measured. It holds 14 KiB, and allocates only when it is made. It takes a lock for no longer than
/// one pass over the latencies.
///
/// # What is measured
///
/// A [`Hedged`](crate::Hedged) call adds the time from its first `Pending` to the success of the original. A call that is
/// ready at once adds nothing, because no hedge could be faster.
///
/// A call can end in another way: its hedge succeeds, it fails, or it is dropped. Then only a lower bound is known of the
/// time of the original. If such calls were left out, slow calls would look rarer than they are. If the bound were taken
/// for the whole time, slow calls would look faster than they are. In both cases more and more calls would be hedged. So
/// the bound is added as a bound: the call took at least that long.
///
/// A failure or a drop before a hedge was due is left out, so that many quick failures do not displace what is known.
///
/// ```
/// use std::time::Duration;
/// use outbound_retry::Latencies;
///
/// let latencies = Latencies::new();
/// assert_eq!(latencies.percentile(95), None, "nothing is known yet");
/// for n in 1..=99 {
///     latencies.record(Duration::from_millis(n));
/// }
/// assert_eq!(latencies.percentile(95), Some(Duration::from_millis(95)));
/// ```
#[derive(Clone)]
pub struct Latencies(Arc<Mutex<Window>>);

/// Enough to know a 99th percentile, and few enough to forget an outage soon.
const WINDOW: usize = 256;
/// Below this many latencies no percentile is given, because they say little.
const FEWEST: usize = 20;

impl Latencies {
    /// No latency is known yet.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Window {
            arrived: VecDeque::with_capacity(WINDOW),
            exact: Vec::with_capacity(WINDOW),
            least: Vec::with_capacity(WINDOW),
        })))
    }

    /// Adds a latency that was measured elsewhere. Calls under a [`Hedge`](crate::Hedge) add theirs themselves.
    pub fn record(&self, latency: Duration) {
        self.window().record(Latency::Exactly(latency));
    }

    /// Adds a lower bound of a latency, for a call that was given up or failed after this time.
    pub fn record_at_least(&self, latency: Duration) {
        self.window().record(Latency::AtLeast(latency));
    }

    /// The latency that this percentage of the calls does not exceed. `None` until enough latencies are known: 20, or more
    /// where the percentile needs more, such as 99 for the 99th. The 100th percentile is never known.
    ///
    /// Of *n* latencies it is the one of rank *⌈p (n + 1)⌉*: the *k*th latency is the quantile *k / (n + 1)* (Hyndman,
    /// Fan: "Sample Quantiles in Statistical Packages", 1996, definition 6). It is rounded up and not interpolated. So the
    /// next latency exceeds it with a probability of at most *1 - p*, as long as all come from one distribution.
    ///
    /// The weight of a lower bound is passed on in equal parts to the latencies above it. This is the estimate of Kaplan
    /// and Meier ("Nonparametric Estimation from Incomplete Observations", 1958). Where only lower bounds are left, the
    /// longest counts as a latency (Efron: "The Two Sample Problem with Censored Data", 1967).
    pub fn percentile(&self, percentile: u32) -> Option<Duration> {
        self.window().percentile(percentile)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // No foreign code runs under the lock, so a panic cannot leave the window half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest latencies. They are kept sorted, because every call asks for a percentile.
struct Window {
    // At most `WINDOW`, in the order of arrival.
    arrived: VecDeque<Latency>,
    // The exact ones, in ascending order.
    exact: Vec<Duration>,
    // The lower bounds, in ascending order.
    least: Vec<Duration>,
}

#[derive(Clone, Copy)]
enum Latency {
    Exactly(Duration),
    AtLeast(Duration),
}

impl Window {
    fn record(&mut self, latency: Latency) {
        if self.arrived.len() == WINDOW
            && let Some(oldest) = self.arrived.pop_front()
        {
            let (list, index) = self.position(oldest);
            list.remove(index);
        }
        self.arrived.push_back(latency);
        let (list, index) = self.position(latency);
        list.insert(index, latency.known());
    }

    /// Its list, and its index there: where it is, or where it belongs.
    fn position(&mut self, latency: Latency) -> (&mut Vec<Duration>, usize) {
        let list = match latency {
            Latency::Exactly(_) => &mut self.exact,
            Latency::AtLeast(_) => &mut self.least,
        };
        let index = list.partition_point(|other| *other < latency.known());
        (list, index)
    }

    fn percentile(&self, percentile: u32) -> Option<Duration> {
        let known = self.arrived.len();
        // How many latencies may be above the percentile, in hundredths. The next latency is counted too.
        let allowed = (100 - percentile.min(100) as usize) * (known + 1);
        if known < FEWEST || allowed < 100 {
            return None;
        }
        // The first index with no more than this many above it, where each latency has the weight `share`. The small
        // addend undoes the rounding of a number that should be whole.
        let first = |share: f64| known.saturating_sub((allowed as f64 / 100.0 / share + 1e-9) as usize);
        let (mut share, mut index, mut passed) = (1.0, first(1.0), 0);
        for least in &self.least {
            // Its index among all latencies. Of two that are equal, the exact one comes first.
            let at = self.exact.partition_point(|exact| exact <= least) + passed;
            if at > index {
                break;
            }
            let above = known - at;
            share *= (above + 1) as f64 / above as f64;
            index = first(share).max(at + 1);
            passed += 1;
        }
        self.exact.get(index - passed).or(self.exact.last().max(self.least.last())).copied()
    }
}

impl Latency {
    fn known(self) -> Duration {
        let (Self::Exactly(latency) | Self::AtLeast(latency)) = self;
        latency
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (known, median) = {
            let window = self.window();
            (window.arrived.len(), window.percentile(50))
        };
        f.debug_struct("Latencies").field("known", &known).field("median", &median).finish()
    }
}
