use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[cfg(test)]
mod tests;

/// How long the latest calls took: the measure of what is slow, shared by all calls to a server.
///
/// It knows the latest 256 and forgets those before them, so that it follows a server that changes. It is a handle:
/// clones share what was measured. It holds 14 KiB, allocates when it is made and never after, and takes a lock for no
/// longer than to go through them once.
///
/// # What is measured
///
/// A [`Hedged`](crate::Hedged) call adds the time from its first `Pending` to the original attempt's success. One that
/// is ready at once adds nothing, since no hedge could be faster.
///
/// Where the call ends in another way, by its hedge, a failure or being dropped, only the least that the original would
/// have taken is known. Left out, or taken for the whole, these would make slow calls look rarer or faster than they
/// are, and more and more calls would be hedged. So they are added as what they are: at least that long. But a failure
/// or a drop before a hedge was due is left out, so that a burst of refusals does not displace what is known.
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

/// Enough to know a 99th percentile, and few enough to forget an outage.
const WINDOW: usize = 256;
/// Fewer tell little, whatever the percentile.
const FEWEST: usize = 20;

impl Latencies {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Window {
            arrived: VecDeque::with_capacity(WINDOW),
            exact: Vec::with_capacity(WINDOW),
            least: Vec::with_capacity(WINDOW),
        })))
    }

    /// Adds one that was measured elsewhere. Calls that are hedged add theirs themselves.
    pub fn record(&self, latency: Duration) {
        self.window().record(Latency::Exactly(latency));
    }

    /// Adds one of which only the least that it can be is known, since it was given up or has failed after so long.
    pub fn record_at_least(&self, latency: Duration) {
        self.window().record(Latency::AtLeast(latency));
    }

    /// The latency that so many of a hundred calls do not exceed. `None` until 20 are known, or as many as the
    /// percentile takes if that is more: 99 for the 99th. The 100th is never known.
    ///
    /// Of *n* latencies it is the one of rank *⌈p (n + 1)⌉*: the *k*th is the quantile *k / (n + 1)* (Hyndman, Fan:
    /// "Sample Quantiles in Statistical Packages", 1996, definition 6). It is rounded up and not interpolated, so that
    /// the next latency exceeds it with a probability of at most *1 - p* while all come from one distribution.
    ///
    /// One that is known at its least hands its share on to those above it in equal parts. That is the estimate of
    /// Kaplan and Meier ("Nonparametric Estimation from Incomplete Observations", 1958); where all that is left is of
    /// that kind, the longest counts as it is (Efron: "The Two Sample Problem with Censored Data", 1967).
    pub fn percentile(&self, percentile: u32) -> Option<Duration> {
        self.window().percentile(percentile)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // No code of a caller's runs under the lock, so nothing is ever left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest latencies. Every call asks for a place in their order, so they are kept in it.
struct Window {
    // At most `WINDOW`, in the order of arrival.
    arrived: VecDeque<Latency>,
    // Those known exactly, in ascending order.
    exact: Vec<Duration>,
    // Those known at their least, in ascending order.
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
            let (list, index) = self.place(oldest);
            list.remove(index);
        }
        self.arrived.push_back(latency);
        let (list, index) = self.place(latency);
        list.insert(index, latency.known());
    }

    /// Where it is, or belongs.
    fn place(&mut self, latency: Latency) -> (&mut Vec<Duration>, usize) {
        let list = match latency {
            Latency::Exactly(_) => &mut self.exact,
            Latency::AtLeast(_) => &mut self.least,
        };
        let index = list.partition_point(|other| *other < latency.known());
        (list, index)
    }

    fn percentile(&self, percentile: u32) -> Option<Duration> {
        let known = self.arrived.len();
        // How many may be above it, the one to come among them; in hundredths.
        let allowed = (100 - percentile.min(100) as usize) * (known + 1);
        if known < FEWEST || allowed < 100 {
            return None;
        }
        // The first index with no more than that above it, where each stands for so many. What is a whole number but
        // for rounding is that number.
        let first = |share: f64| known.saturating_sub((allowed as f64 / 100.0 / share + 1e-9) as usize);
        let (mut share, mut index, mut passed) = (1.0, first(1.0), 0);
        for least in &self.least {
            // Its index among all. Of two that are equal the one that is known exactly comes first.
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
