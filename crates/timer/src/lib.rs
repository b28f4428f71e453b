//! One re-armable wake-up on tokio's clock, registered lazily.
//!
//! A future with time limits needs a wake-up that moves often: with each item, with each attempt, with each new
//! deadline. With `tokio::time::Sleep`, each limit needs a `Sleep` of its own, and each move goes through tokio's timer.
//!
//! A `Timer` holds at most one deadline. Setting or moving the deadline is a store. Tokio's timer is used only when a
//! poll has to wait.
//!
//! ```
//! use std::{future::poll_fn, pin::pin, time::Duration};
//! use outbound_timer::Timer;
//! use tokio::time::Instant;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let started = Instant::now();
//!     let mut timer = pin!(Timer::new());
//!     timer.as_mut().set(started + Duration::from_millis(20));
//!     timer.as_mut().set(started + Duration::from_millis(50));     // moved before it was waited for
//!     poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
//!     assert!(started.elapsed() >= Duration::from_millis(50));
//! }
//! ```
//!
//! # What is in it
//!
//! There is one type, [`Timer`].
//!
//! - Many limits on one future need one `Timer`: set it to the earliest of their deadlines.
//! - To move the deadline *later* does not touch tokio's timer, even while a task waits. The earlier wake-up arrives,
//!   finds that the deadline has moved, and registers the new one.
//!
//! # Guarantees
//!
//! - **Never early.** It elapses at its deadline or after it. Tokio's timer works in steps of one millisecond, so a
//!   wake-up comes up to a millisecond late, plus the delay of the scheduler.
//! - **Never lost.** The next poll after the deadline is ready. This holds where a poll blocked the thread and the
//!   runtime could not run its timers, and where the task has spent tokio's cooperative budget. For this, each poll that
//!   has to wait reads the clock once.
//! - **Time.** All time is tokio's, so the paused clock works. A timer that was cleared or dropped leaves no wake-up
//!   behind that could move the paused clock.
//! - **Cancel safety.** Dropping a `Timer` takes its wake-up out of tokio's timer.
//! - **Panics.** It panics only when it has to wait outside a tokio runtime with time enabled, as `tokio::time::sleep`
//!   does. Making, setting and dropping a timer that never had to wait needs no runtime.
//!
//! # What it does not do
//!
//! - It is no future. A future of yours polls it: see `outbound-timeout` for futures and streams with limits.
//! - It does not tick periodically: set it again.
//! - It does not share one `Sleep` among all timers of a thread. That was built and measured. It makes a wait cheaper,
//!   but it allocates at the first wait of a thread, it costs more than tokio's timer where the clock can be paused or
//!   all durations differ, and it triples the size of this crate.
//!
//! # Coming from tokio
//!
//! | tokio | here |
//! |---|---|
//! | `sleep_until(instant)` | [`Timer::at`] |
//! | `Sleep::reset` | [`Timer::set`] |
//! | `Sleep::poll` | [`Timer::poll_elapsed`], which may be polled again after it was ready |
//! | `Sleep::deadline` | [`Timer::deadline`] |
//! | `Option<Sleep>` set to `None` | [`Timer::clear`] |
//!
//! # Cost
//!
//! A timer that was never polled reads no clock and takes no lock. Nothing here allocates. There are no features.
//! `benches/RESULTS.md` in the repository has the measured costs of the limits in `outbound-timeout`, which stand on
//! this crate.
#![forbid(unsafe_code)]

mod timer;

pub use timer::Timer;
