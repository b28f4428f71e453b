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
//! | a future, by a deadline that moves while it runs | [`timeout_with`], which hands out a [`TimeoutHandle`] |
//! | a future that has an error of its own, with one error for both | [`TimeoutExt::joined`], after the limits |
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
//! - **Ends of the range.** A duration of 68 years or more ([`Duration::MAX`](std::time::Duration::MAX)) never fires.
//! - **No allocation** (but for the handle of [`timeout_with`]), and one timer however many limits there are.
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
//! # Tasks under a limit
//!
//! A limit ends the wait. What it drops ends with it, if it is a future; a tokio `JoinHandle` that is dropped lets its
//! task run on, detached. Lend the handle, and abort the task where the limit has passed:
//!
//! ```
//! # use std::time::Duration;
//! # use outbound_timeout::timeout;
//! # async fn work() { std::future::pending().await }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let mut task = tokio::spawn(work());
//! if timeout(Duration::from_secs(2), &mut task).await.is_err() {
//!     task.abort();
//!     assert!(task.await.unwrap_err().is_cancelled());
//! }
//! # }
//! ```
//!
//! A limit *inside* the task, `spawn(timeout(s, work()))`, does it without a handle. A `JoinSet` aborts all its tasks when
//! it is dropped, by a limit as well.
//!
//! # Names elsewhere
//!
//! | asyncio | here |
//! |---|---|
//! | `asyncio.wait_for(aw, s)` | [`timeout`]`(s, fut)`. A future is dropped where a coroutine is cancelled. A task is not aborted: see above |
//! | `asyncio.wait_for(aw, 0)` | the same, and what is ready at once is still given |
//! | `asyncio.timeout(s)` | [`timeout`] or [`TimeoutExt::timeout`] around an `async` block |
//! | `asyncio.timeout_at(when)` | [`timeout_at`] or [`TimeoutExt::deadline`] |
//! | `asyncio.timeout(None)` | [`Deadline::NEVER`] |
//! | `cm.reschedule(when)` from inside, or from another task | [`TimeoutHandle::set`], of [`timeout_with`] |
//! | `cm.reschedule(when)` by whoever holds the future | [`Timeout::reset`] |
//! | `reschedule` after the end: `RuntimeError` | changes nothing |
//! | `cm.when()`, `cm.expired()` | [`Timeout::expires`], [`Timeout::is_elapsed`]; [`TimeoutHandle::deadline`], [`TimeoutHandle::is_elapsed`] |
//! | `asyncio.shield(aw)` | [`timeout`]`(s, &mut pinned)`, and the future outlives the limit; or a task, whose handle is lent |
//! | `asyncio.wait(.., timeout=s)` | [`timeout`]`(s, ..)` around the next item of a set, which keeps the rest |
//! | `TimeoutError` is an `OSError` | `From<`[`Elapsed`]`> for io::Error`, kind `TimedOut`; [`TimeoutExt::joined`] applies it |
//!
//! | tokio, trio, the web | here |
//! |---|---|
//! | `tokio::time::timeout`, `timeout_at` | [`timeout`], [`timeout_at`] |
//! | `trio.CancelScope()`, `trio.current_effective_deadline()` | [`Deadline::NEVER`]; a callee is given its deadline as an argument |
//! | `trio.move_on_after(s)` | `timeout(s, fut).await.ok()` |
//! | `Promise.race([work, sleep(s)])` | [`timeout`]`(s, work)`: the loser is dropped, where a promise runs on |
//! | `Promise.race([a, b])` | `a.until(b)`, by [`TimeoutExt::until`]: `Ok` is `a`'s, `Err` is `b`'s |
//! | `AbortController`, its `signal`; `CancellationToken` | [`TimeoutExt::until`] with any future as the signal, such as a `oneshot` receiver |
//! | `AbortSignal.timeout(s)` | [`TimeoutExt::timeout`] |
//! | `AbortSignal.any([a, AbortSignal.timeout(s)])` | `fut.until(a).timeout(s)` |
//! | idle and first-byte limits | [`StreamLimits::idle`], [`StreamLimits::first_item`] |
#![forbid(unsafe_code)]

mod deadline;
mod error;
mod ext;
mod handle;
mod joined;
mod stream;
mod timeout;
mod until;

pub use deadline::Deadline;
pub use error::{Elapsed, Limit};
pub use ext::{StreamTimeoutExt, TimeoutExt};
pub use handle::{TimeoutHandle, TimeoutWith, timeout_with};
pub use joined::Joined;
pub use stream::{Counts, Limited, StreamLimits};
pub use timeout::{Timeout, timeout, timeout_at};
pub use until::Until;
