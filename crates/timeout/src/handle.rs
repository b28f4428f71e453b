//! A limit that a handle can move while the future runs.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use outbound_timer::Timer;
use pin_project_lite::pin_project;

use crate::{Deadline, Elapsed, Limit};

/// Gives a future until `deadline` to finish. `make` makes the future, and is given a handle that moves the deadline.
///
/// The handle works inside the limited code and anywhere else. It costs one allocation.
///
/// ```
/// use std::time::Duration;
/// use outbound_timeout::{Deadline, TimeoutHandle, timeout_with};
///
/// # async fn first_chunk() -> usize { 3 }
/// # async fn chunk(_: usize) { tokio::time::sleep(Duration::from_secs(9)).await }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// // Ten seconds to the first chunk, which says how many chunks follow. Then ten seconds for each of those.
/// let download = timeout_with(Deadline::after(Duration::from_secs(10)), async |limit: TimeoutHandle| {
///     let chunks = first_chunk().await;
///     for number in 0..chunks {
///         limit.set(Deadline::after(Duration::from_secs(10)));
///         chunk(number).await;
///     }
/// });
/// assert_eq!(download.await, Ok(()));
/// # }
/// ```
pub fn timeout_with<F: IntoFuture>(
    deadline: impl Into<Deadline>,
    make: impl FnOnce(TimeoutHandle) -> F,
) -> TimeoutWith<F::IntoFuture> {
    let state = State { deadline: deadline.into(), waker: None, elapsed: false };
    let handle = TimeoutHandle(Arc::new(Mutex::new(state)));
    let future = make(handle.clone()).into_future();
    TimeoutWith { future, handle, timer: Timer::new() }
}

/// Moves or removes the limit of a future while it runs; made by [`timeout_with`].
///
/// Clones are handles to the same limit.
#[derive(Clone, Debug)]
pub struct TimeoutHandle(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    deadline: Deadline,
    // The waker of the task that polls the future. It is woken where another task makes the deadline earlier.
    waker: Option<Waker>,
    elapsed: bool,
}

impl TimeoutHandle {
    /// Moves the deadline to an earlier or a later instant. [`Deadline::NEVER`] removes it. For a duration from now use
    /// [`Deadline::after`].
    ///
    /// After the limit has passed, and after the future has ended, this changes nothing.
    pub fn set(&self, deadline: impl Into<Deadline>) {
        let waker = {
            let mut state = self.state();
            if state.elapsed {
                return;
            }
            let before = std::mem::replace(&mut state.deadline, deadline.into());
            // For a later deadline nothing is woken: the task sees it when the timer wakes it for the current one.
            if state.deadline < before { state.waker.take() } else { None }
        };
        // Outside the lock, because a waker runs foreign code.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The current deadline.
    pub fn deadline(&self) -> Deadline {
        self.state().deadline
    }

    /// Whether the limit has passed before the future was done.
    pub fn is_elapsed(&self) -> bool {
        self.state().elapsed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pin_project! {
    /// A future with a limit in time that a handle can move; made by [`timeout_with`].
    ///
    /// The output is `Ok` with the output of the future, or [`Elapsed`] with [`Limit::Deadline`]. A result that is there
    /// wins over a limit that has passed.
    ///
    /// Dropping it drops the limited future and the wake-up. A handle that is still held does nothing then.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TimeoutWith<F> {
        #[pin]
        future: F,
        handle: TimeoutHandle,
        #[pin]
        timer: Timer,
    }
}

impl<F> TimeoutWith<F> {
    /// A handle to the limit.
    pub fn handle(&self) -> TimeoutHandle {
        self.handle.clone()
    }
}

impl<F: Future> Future for TimeoutWith<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let mut state = this.handle.state();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        loop {
            let deadline = state.deadline;
            drop(state);
            let Some(at) = deadline.instant() else {
                this.timer.clear();
                return Poll::Pending;
            };
            this.timer.as_mut().set(at);
            if this.timer.as_mut().poll_elapsed(cx).is_pending() {
                return Poll::Pending;
            }
            state = this.handle.state();
            // In the meantime another thread may have made the deadline later, which does not wake the task.
            if state.deadline <= deadline {
                break;
            }
        }
        state.elapsed = true;
        Poll::Ready(Err(Elapsed::new(Limit::Deadline, None)))
    }
}
