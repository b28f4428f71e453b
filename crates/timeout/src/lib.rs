//! Limits in time on futures and streams.
//!
//! Some requests are never answered, and some streams stop in the middle and stay open. Without a limit the caller waits
//! for hours.
//!
//! A limit from this crate costs next to nothing while all goes well, fires when it should, and says which limit it was.
//!
//! ```
//! use std::time::Duration;
//! use outbound_timeout::{Deadline, Limit, TimeoutExt, timeout};
//!
//! async fn fetch() -> &'static str {
//!     tokio::time::sleep(Duration::from_millis(20)).await;
//!     "page"
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let page = timeout(Duration::from_secs(2), fetch()).await;
//!     assert_eq!(page, Ok("page"));
//!
//!     // One deadline for several steps. It is fixed when it is made, and no step starts it again.
//!     let deadline = Deadline::after(Duration::from_millis(30));
//!     assert_eq!(fetch().deadline(deadline).await, Ok("page"));
//!     let late = fetch().deadline(deadline).await.unwrap_err();
//!     assert_eq!(late.limit(), Limit::Deadline);
//!
//!     let late = fetch().timeout(Duration::from_millis(5)).await.unwrap_err();
//!     assert_eq!(late.to_string(), "not done within 5ms (duration limit)");
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add tokio --features macros,rt,time
//! ```
//!
//! # What is in it
//!
//! | to limit | use |
//! |---|---|
//! | a future, by a duration | [`timeout`] or [`TimeoutExt::timeout`] |
//! | a future, by an instant | [`timeout_at`] or [`TimeoutExt::deadline`] with a [`Deadline`] |
//! | a future, by both, or by several | the same calls one after the other: `fut.timeout(a).deadline(b)` is one [`Timeout`] with one timer |
//! | a future, until something else happens | [`TimeoutExt::until`], which makes an [`Until`] |
//! | a future, by a deadline that moves while it runs | [`timeout_with`], which gives a [`TimeoutHandle`] |
//! | a future that has an error of its own, with one error type for both | [`TimeoutExt::joined`], after the limits |
//! | a stream: in all, to its first item, between items | [`StreamTimeoutExt::limits`] with [`StreamLimits`]: a [`Limited`] stream with one timer |
//! | a stream with comments or pings that are no items | [`Limited::counting`] with [`Counts`] |
//! | nothing more: get the future or stream back | [`Timeout::into_inner`], [`Limited::into_inner`] |
//!
//! # When a limit starts
//!
//! - A **duration** starts when the limited future first returns `Pending`. A future that is ready at once reads no
//!   clock and takes no timer. The processor time of its first poll is not counted.
//! - A **deadline** is an instant. It is fixed when the [`Deadline`] is made.
//!
//! # Guarantees
//!
//! - **Cancel safety.** Dropping a future or stream of this crate drops what it limits, and takes the wake-up out of
//!   tokio's timer. A future that has timed out is still there: it can be polled on, for instance after a
//!   [`reset`](Timeout::reset), and nothing of its work is lost.
//! - **Fairness.** The limit fires at the next poll after a poll that blocked its thread. It also fires where the limited
//!   future spends all of tokio's cooperative budget.
//! - **Time.** A limit never fires early. It fires as late as tokio's timer does, which works in steps of one
//!   millisecond. All time is tokio's, so the paused clock works. A duration of 68 years or more, such as
//!   [`Duration::MAX`](std::time::Duration::MAX), never fires.
//! - **A result that is there wins.** The limited future is polled first. So a future that is ready at the poll at which
//!   its limit has passed gives its result, a deadline in the past still polls the future once, and a duration of zero
//!   with a ready future is `Ok`.
//! - **Panics.** A limit panics where it has to wait outside a tokio runtime with time enabled, as tokio's own limits
//!   do. A panic of the limited future passes through.
//!
//! # A limit that depends on the request
//!
//! A rule such as "ten seconds, and 20 ms for each token asked for" is arithmetic on
//! [`Duration`](std::time::Duration). Saturating arithmetic does not panic on absurd input:
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
//! Limits joined by method calls share a timer, and [`Elapsed::limit`] says which one has passed. Limits in different
//! functions nest. Each has its own timer, and the types tell them apart:
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
//! To use one deadline in several functions without nesting, pass a [`Deadline`] down. [`Deadline::min`] makes it
//! earlier. [`Deadline::remaining`] is what to write into a header for the server.
//!
//! # Tasks under a limit
//!
//! A limit ends the wait and drops what it limits. A dropped future ends. But a dropped tokio `JoinHandle` lets its task
//! run on. So lend the handle, and abort the task where the limit has passed:
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
//! A limit *inside* the task, as in `spawn(timeout(s, work()))`, needs no handle. A `JoinSet` aborts all its tasks when
//! it is dropped, also when a limit drops it.
//!
//! # What it does not do
//!
//! - It does not interrupt code that blocks its thread. Such code runs on, and the limit fires when its poll returns.
//! - It has no scope that limits all calls inside it. A called function is given its [`Deadline`] as an argument.
//! - It does not try again: see `outbound-retry`.
//!
//! # Coming from asyncio
//!
//! | asyncio | here |
//! |---|---|
//! | `asyncio.wait_for(aw, s)` | [`timeout`]`(s, fut)`. The future is dropped, where asyncio cancels a coroutine. A task is not aborted: see above |
//! | `asyncio.wait_for(aw, 0)` | the same; what is ready at once is still given |
//! | `asyncio.timeout(s)` | [`timeout`] or [`TimeoutExt::timeout`] around an `async` block |
//! | `asyncio.timeout_at(when)` | [`timeout_at`] or [`TimeoutExt::deadline`] |
//! | `asyncio.timeout(None)` | [`Deadline::NEVER`] |
//! | `cm.reschedule(when)` from inside, or from another task | [`TimeoutHandle::set`], of [`timeout_with`] |
//! | `cm.reschedule(when)` by the code that holds the future | [`Timeout::reset`] |
//! | `reschedule` after the end: `RuntimeError` | changes nothing |
//! | `cm.when()`, `cm.expired()` | [`Timeout::expires`], [`Timeout::is_elapsed`]; [`TimeoutHandle::deadline`], [`TimeoutHandle::is_elapsed`] |
//! | `asyncio.shield(aw)` | [`timeout`]`(s, &mut pinned)`: the future outlives the limit; or a task whose handle is lent |
//! | `asyncio.wait(.., timeout=s)` | [`timeout`]`(s, ..)` around the next item of a set, which keeps the rest |
//! | `TimeoutError` is an `OSError` | `From<`[`Elapsed`]`> for io::Error`, kind `TimedOut`; [`TimeoutExt::joined`] applies it |
//!
//! # Coming from tokio, trio, JavaScript
//!
//! | there | here |
//! |---|---|
//! | `tokio::time::timeout`, `timeout_at` | [`timeout`], [`timeout_at`] |
//! | `trio.CancelScope()`, `trio.current_effective_deadline()` | [`Deadline::NEVER`]; a called function is given its deadline as an argument |
//! | `trio.move_on_after(s)` | `timeout(s, fut).await.ok()` |
//! | `Promise.race([work, sleep(s)])` | [`timeout`]`(s, work)`: the loser is dropped, where a promise runs on |
//! | `Promise.race([a, b])` | `a.until(b)`, by [`TimeoutExt::until`]: `Ok` is the value of `a`, `Err` that of `b` |
//! | `AbortController`, its `signal`; `CancellationToken` | [`TimeoutExt::until`] with any future as the signal, such as a `oneshot` receiver |
//! | `AbortSignal.timeout(s)` | [`TimeoutExt::timeout`] |
//! | `AbortSignal.any([a, AbortSignal.timeout(s)])` | `fut.until(a).timeout(s)` |
//! | idle and first-byte timeouts | [`StreamLimits::idle`], [`StreamLimits::first_item`] |
//!
//! # Cost
//!
//! There is one timer, however many limits are joined, and no allocation, except one for the handle of [`timeout_with`].
//! There are no features. `benches/RESULTS.md` in the repository has the measured costs, beside those of tokio's limits.
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
