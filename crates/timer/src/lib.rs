//! One re-armable wake-up on tokio's clock, registered lazily.
//!
//! A [`Timer`] holds at most one deadline. Setting, moving or clearing it costs a store; tokio's timer is touched
//! only when [`Timer::poll_elapsed`] has to wait, and moving the deadline *later* does not touch it even then:
//! the earlier wake-up arrives, sees that nothing is due and is armed anew. That makes one `Timer` enough for any
//! number of limits on one future (arm the earliest), and a deadline that moves with each item cheap.
//!
//! ```
//! use std::{future::poll_fn, pin::pin, time::Duration};
//! use outbound_timer::Timer;
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let started = Instant::now();
//! let mut timer = pin!(Timer::new());
//! timer.as_mut().set(started + Duration::from_secs(5));
//! timer.as_mut().set(started + Duration::from_secs(8));
//! poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
//! assert_eq!(started.elapsed(), Duration::from_secs(8));
//! # }
//! ```
//!
//! Everything here needs a tokio runtime with time enabled once a timer has to wait, and obeys its paused clock.
#![forbid(unsafe_code)]

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

pin_project! {
    /// One wake-up at a deadline that may be set, moved and cleared while it waits.
    ///
    /// Dropping it takes the wake-up out of tokio's timer. It never fires early.
    #[derive(Debug, Default)]
    #[must_use = "a timer does nothing unless polled"]
    pub struct Timer {
        deadline: Option<Instant>,
        // The registered wake-up. Never later than `deadline` while both are there and a poll is pending.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer {
    /// A timer with no deadline: it does not elapse.
    pub const fn new() -> Self {
        Self { deadline: None, sleep: None }
    }

    /// The deadline, if one is set.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets or moves the deadline. Takes effect at the next [`poll_elapsed`](Self::poll_elapsed).
    pub fn set(self: Pin<&mut Self>, deadline: Instant) {
        *self.project().deadline = Some(deadline);
    }

    /// Takes the deadline away. A wake-up that is already registered may still wake the task once, for nothing.
    pub fn clear(self: Pin<&mut Self>) {
        *self.project().deadline = None;
    }

    /// Ready once the deadline has passed, and at every poll after that until it is moved or cleared.
    /// Without a deadline it is pending and registers no waker.
    pub fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(deadline) = *this.deadline else { return Poll::Pending };
        if this.sleep.is_none() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            this.sleep.set(Some(tokio::time::sleep_until(deadline)));
        }
        let Some(mut sleep) = this.sleep.as_pin_mut() else { unreachable!("set above") };
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline || Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
