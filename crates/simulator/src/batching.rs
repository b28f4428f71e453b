//! A server that batches, as `vLLM`, `SGLang` and TGI do: the more calls are in flight, the longer each takes, and the
//! more gets done.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

/// How a server batches: in each iteration every call of the batch gets one token.
///
/// An iteration takes `base`, and `per_call` for each call in the batch. So `n` calls together make
/// `n / (base + n * per_call)` tokens per second: with 20 ms and 0.5 ms, 8 of them make 333 and 80 make 1,333.
///
/// ```
/// use std::time::Duration;
/// use outbound_simulator::{Batching, Simulator};
///
/// let batching = Batching::new(Duration::from_millis(20), Duration::from_micros(500)).slots(128).queue(64);
/// let simulator = Simulator::builder().batching(batching).build();
/// # drop(simulator);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    base: Duration,
    per_call: Duration,
    slots: usize,
    queue: usize,
}

impl Batching {
    /// A batch of any size, with no queue before it.
    pub const fn new(base: Duration, per_call: Duration) -> Self {
        Self { base, per_call, slots: usize::MAX, queue: usize::MAX }
    }

    /// The most calls in the batch. The others wait, in the order in which they came. 0 counts as 1.
    pub const fn slots(self, calls: usize) -> Self {
        Self { slots: if calls == 0 { 1 } else { calls }, ..self }
    }

    /// The most calls that wait. One more is refused with 503. Default: any number may wait.
    pub const fn queue(self, calls: usize) -> Self {
        Self { queue: calls, ..self }
    }

    /// How many seconds an iteration with this many calls takes.
    fn iteration(&self, calls: usize) -> f64 {
        self.base.as_secs_f64() + self.per_call.as_secs_f64() * calls as f64
    }
}

/// The batch, and those that wait.
#[derive(Debug)]
pub(crate) struct Batch {
    batching: Batching,
    slots: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls in the batch or waiting.
    inside: usize,
    running: usize,
    /// Iterations since the start, until `at`.
    iterations: f64,
    at: Instant,
}

impl Batch {
    pub(crate) fn new(batching: Batching) -> Self {
        let state = State { inside: 0, running: 0, iterations: 0.0, at: Instant::now() };
        let slots = Semaphore::new(batching.slots.min(Semaphore::MAX_PERMITS));
        Self { batching, slots, state: Mutex::new(state) }
    }

    /// A place in the batch or in its queue. `None`: all are taken.
    pub(crate) fn enter(&self) -> Option<Place<'_>> {
        let mut state = self.state();
        if state.inside >= self.batching.slots.saturating_add(self.batching.queue) {
            return None;
        }
        state.inside += 1;
        Some(Place { batch: self, runs: false })
    }

    /// The state as it is now.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let passed = now.saturating_duration_since(state.at).as_secs_f64();
        // Without a length, iterations take no time.
        state.iterations += passed / self.batching.iteration(state.running).max(1e-9);
        state.at = now;
        state
    }
}

/// The place of one call, which it gives back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    batch: &'a Batch,
    runs: bool,
}

impl Place<'_> {
    /// Waits for a slot, and until so many tokens have been made.
    pub(crate) async fn make(mut self, tokens: u64) {
        // The semaphore is never closed.
        let slot = self.batch.slots.acquire().await;
        let end = {
            let mut state = self.batch.state();
            state.running += 1;
            state.iterations + tokens as f64
        };
        self.runs = true;
        loop {
            let (left, iteration) = {
                let state = self.batch.state();
                (end - state.iterations, self.batch.batching.iteration(state.running))
            };
            // To the nanosecond, which is what a timer can tell.
            if left * iteration < 1e-9 {
                break;
            }
            // It looks again after half of the time, because the batch gets faster when others leave.
            let iterations = if left > 1.0 { left / 2.0 } else { left };
            sleep(Duration::from_secs_f64(iterations * iteration).max(Duration::from_nanos(1))).await;
        }
        // The slot is free only when the batch is smaller.
        drop(self);
        drop(slot);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.batch.state();
        state.inside -= 1;
        if self.runs {
            state.running -= 1;
        }
    }
}
