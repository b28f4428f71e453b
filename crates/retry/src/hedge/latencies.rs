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
/// clones share what was measured. It holds 12 KiB, allocates when it is made and never after, and takes a lock for no
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
        let (arrived, sorted) = (VecDeque::with_capacity(WINDOW), Vec::with_capacity(WINDOW));
        Self(Arc::new(Mutex::new(Window { arrived, sorted })))
    }

    /// Adds one that was measured elsewhere. Calls that are hedged add theirs themselves.
    pub fn record(&self, latency: Duration) {
        self.window().record(Latency { took: latency, or_more: false });
    }

    /// Adds one of which only the least that it can be is known.
    pub(super) fn record_at_least(&self, latency: Duration) {
        self.window().record(Latency { took: latency, or_more: true });
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
    // The same ones, in ascending order.
    sorted: Vec<Latency>,
}

/// Of two that took the same, the one that is known exactly is the lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Latency {
    took: Duration,
    or_more: bool,
}

impl Window {
    fn record(&mut self, latency: Latency) {
        if self.arrived.len() == WINDOW {
            let oldest = self.arrived.pop_front();
            self.sorted.remove(self.sorted.partition_point(|known| Some(*known) < oldest));
        }
        self.arrived.push_back(latency);
        self.sorted.insert(self.sorted.partition_point(|known| *known < latency), latency);
    }

    fn percentile(&self, percentile: u32) -> Option<Duration> {
        let known = self.sorted.len();
        // How many may be above it, the one to come among them; in hundredths.
        let allowed = (100 - percentile.min(100) as usize) * (known + 1);
        if known < FEWEST || allowed < 100 {
            return None;
        }
        // How many one of those above stands for.
        let mut share = 1.0;
        for (latency, above) in self.sorted.iter().zip((1..=known).rev()) {
            if latency.or_more {
                share *= (above + 1) as f64 / above as f64;
            } else if share * (above * 100) as f64 <= allowed as f64 {
                return Some(latency.took);
            }
        }
        self.sorted.last().map(|longest| longest.took)
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
            (window.sorted.len(), window.percentile(50))
        };
        f.debug_struct("Latencies").field("known", &known).field("median", &median).finish()
    }
}
