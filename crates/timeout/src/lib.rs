//! Limits in time on futures and streams.
//!
//! A request that is never answered, a stream that stops in the middle and stays open: without a limit the caller
//! waits for hours. A limit should cost next to nothing while all is well, fire when it should, and say which limit it
//! was.
//!
//! ```
//! use std::time::Duration;
//! use outbound_timeout::{Deadline, Limit, TimeoutExt, timeout};
//!
//! # async fn fetch() -> &'static str { tokio::time::sleep(Duration::from_secs(1)).await; "page" }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let page = timeout(Duration::from_secs(2), fetch()).await;
//! assert_eq!(page, Ok("page"));
//!
//! // One deadline for several steps: it is fixed when it is made and does not start again.
//! let deadline = Deadline::after(Duration::from_millis(1500));
//! assert_eq!(fetch().deadline(deadline).await, Ok("page"));
//! let late = fetch().deadline(deadline).await.unwrap_err();
//! assert_eq!(late.limit(), Limit::Deadline);
//!
//! let late = fetch().timeout(Duration::from_millis(30)).await.unwrap_err();
//! assert_eq!(late.to_string(), "not done within 30ms (duration limit)");
//! # }
//! ```
//!
//! # The pieces
//!
//! | to limit | use |
//! |---|---|
//! | a future, for so long | [`timeout`] or [`TimeoutExt::timeout`] |
//! | a future, until an instant | [`timeout_at`] or [`TimeoutExt::deadline`] with a [`Deadline`] |
//! | a future, by both, or by several | the same calls one after the other: `fut.timeout(a).deadline(b)` is one [`Timeout`] with one timer |
//! | a future, until something else happens | [`TimeoutExt::until`] |
//! | a stream: in all, to its first item, between items | [`StreamTimeoutExt::limits`] with [`StreamLimits`], on one timer |
//!
//! # When a limit starts
//!
//! - A **duration** starts when the limited future first returns `Pending`. A future that is ready at once reads no
//!   clock and takes no timer; the processor time of its first poll is not counted.
//! - A **deadline** is an instant, fixed when the [`Deadline`] is made.
//!
//! # What is promised
//!
//! - **Never early**, and as late as tokio's timer is: it has a grain of one millisecond.
//! - **A result that is there wins.** The limited future is polled first, so a future that is ready on the poll at
//!   which its limit has passed gives its result, a deadline in the past still polls once, and a duration of zero
//!   with a ready future is `Ok`.
//! - **Never starved.** The limit fires at the next poll after a poll that blocked its thread, and it fires although
//!   the limited future spends tokio's cooperative budget.
//! - **Ends of the range.** A limit too long for the clock ([`Duration::MAX`](std::time::Duration::MAX)) never fires.
//! - **No allocation**, and one timer however many limits there are.
//! - **Cancel safety.** Dropping any future or stream here drops what it limits, and takes its wake-up out of tokio's
//!   timer. A future that has timed out can be polled on, after a [`reset`](Timeout::reset) for instance: nothing of it
//!   is lost.
//!
//! A limit that has to wait needs a tokio runtime with time enabled and panics without one, as tokio's own does. It
//! obeys tokio's paused clock.
//!
//! # A limit computed from the request
//!
//! A limit is a [`Duration`](std::time::Duration), so a rule such as "ten seconds, and 20 ms for each token asked for"
//! is arithmetic; the saturating kind does not panic on absurd input:
//!
//! ```
//! use std::time::Duration;
//!
//! fn limit_for(max_tokens: u32) -> Duration {
//!     Duration::from_millis(20).saturating_mul(max_tokens).saturating_add(Duration::from_secs(10))
//! }
//! assert_eq!(limit_for(4_000), Duration::from_secs(90));
//! ```
//!
//! # Limits inside limits
//!
//! Limits joined by method calls share a timer, and [`Elapsed::limit`] tells which one it was. Limits in different
//! functions nest, each with its own timer, and the types tell them apart:
//!
//! ```
//! # use std::{future::pending, time::Duration};
//! # use outbound_timeout::timeout;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let step = timeout(Duration::from_secs(1), pending::<()>());
//! match timeout(Duration::from_secs(5), step).await {
//!     Err(_outer) => unreachable!("the inner limit is shorter"),
//!     Ok(Err(inner)) => assert_eq!(inner.after(), Some(Duration::from_secs(1))),
//!     Ok(Ok(())) => unreachable!("it was never ready"),
//! }
//! # }
//! ```
//!
//! To spend one deadline over several functions without nesting, pass a [`Deadline`] down, and tighten it with
//! [`Deadline::min`]; [`Deadline::remaining`] is what to write into a header for the server.
//!
//! # Names elsewhere
//!
//! | asyncio, trio, tokio, the web | here |
//! |---|---|
//! | `asyncio.timeout(delay)`, `tokio::time::timeout` | [`timeout`], [`TimeoutExt::timeout`] |
//! | `asyncio.timeout_at(when)`, `tokio::time::timeout_at` | [`timeout_at`], [`TimeoutExt::deadline`] |
//! | `asyncio.timeout(None)`, `trio.CancelScope()` | [`Deadline::NEVER`] |
//! | `Timeout.reschedule(when)` | [`Timeout::reset`] |
//! | `Timeout.expired()`, `cancelled_caught` | [`Timeout::is_elapsed`], or the error |
//! | `Timeout.when()`, `trio.current_effective_deadline()` | [`Timeout::expires`]; a callee is given its deadline as an argument |
//! | `trio.move_on_after(s)` | `timeout(s, fut).await.ok()` |
//! | `asyncio.shield` | `timeout(s, &mut pinned)`: the future outlives the limit |
//! | `AbortController.signal`, `CancellationToken` | [`TimeoutExt::until`] with any future as the signal |
//! | `AbortSignal.any([a, AbortSignal.timeout(s)])` | `fut.until(a).timeout(s)` |
//! | idle and first-byte limits | [`StreamLimits::idle`], [`StreamLimits::first_item`] |
//! | `TimeoutError` is an `OSError` | `From<`[`Elapsed`]`> for io::Error`, kind `TimedOut` |
#![forbid(unsafe_code)]

mod deadline;
mod error;
mod ext;
mod stream;
mod timeout;
mod until;

pub use deadline::Deadline;
pub use error::{Elapsed, Limit};
pub use ext::{StreamTimeoutExt, TimeoutExt};
pub use stream::{Counts, Limited, StreamLimits};
pub use timeout::{Timeout, timeout, timeout_at};
pub use until::Until;
