//! Trying again: when, how long to wait, when to stop, what it may cost.
//!
//! A request that failed is often worth another. Done carelessly that makes an outage worse: everyone retries at the
//! same instant, for errors that cannot go away, past the time anyone still waits, and every layer multiplies the
//! calls of the one above. Here a policy is plain data, one function says what to do about an error, and there is one
//! loop.
//!
//! ```
//! use std::time::Duration;
//! use outbound_retry::{Retry, Wait};
//!
//! # #[derive(Debug, PartialEq)]
//! # enum ApiError { Overloaded, BadRequest }
//! # impl ApiError { fn is_transient(&self) -> bool { *self == Self::Overloaded } }
//! # async fn fetch(attempt: u32) -> Result<&'static str, ApiError> {
//! #     if attempt < 3 { Err(ApiError::Overloaded) } else { Ok("page") }
//! # }
//! const POLICY: Retry = Retry::attempts(5)
//!     .within(Duration::from_secs(600))
//!     .wait(Wait::exponential(Duration::from_secs(1)).max(Duration::from_secs(30)).full_jitter());
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let reply = POLICY.when(ApiError::is_transient).call(|attempt| fetch(attempt.number())).await;
//! assert_eq!(reply, Ok("page"));
//!
//! // The same as a loop, for operations that borrow and decisions that await:
//! let mut attempts = POLICY.start();
//! let mut calls = 0;
//! let reply = loop {
//!     calls += 1;
//!     match fetch(calls).await {
//!         Ok(reply) => break Ok(reply),
//!         Err(error) => match attempts.failed_as(error.is_transient(), error).await {
//!             Ok(()) => {}
//!             Err(error) => break Err(error),
//!         },
//!     }
//! };
//! assert_eq!(reply, Ok("page"));
//! assert_eq!(attempts.report().attempts(), 3);
//! # }
//! ```
//!
//! # The pieces
//!
//! | piece | is |
//! |---|---|
//! | [`Retry`] | the policy: attempts, time, waits, what a server's hint is worth. `Copy`, usable in a `const` |
//! | [`Wait`] | how long to wait before each retry |
//! | [`Verdict`] | what to do about one error: a `bool`, or stop, retry, retry after, retry free of charge |
//! | [`Call`] | the loop as a future: `POLICY.when(..).call(..)` |
//! | [`RetryStream`] | the loop for a stream, which retries until the first item and then never |
//! | [`Attempts`] | the loop written out: `POLICY.start()` |
//! | [`Hedge`], [`Hedged`] | a second attempt beside one that is slow: `HEDGE.call_idempotent(..)` |
//! | [`Latencies`] | what is slow, measured |
//! | [`Budget`] | a shared allowance for retries and hedges |
//! | [`Report`], [`StopReason`] | what it came to, and why it gave up |
//!
//! # What is promised
//!
//! - **The last error is yours**, untouched. So is the last result, where results are judged.
//! - **No useless last wait.** A wait that would end at the deadline or after it is not begun; neither is one after the
//!   last attempt.
//! - **Success costs next to nothing.** At the first attempt: no clock, no random number, no allocation. A wait of
//!   zero takes no timer, and one in 32 of those lets other tasks run.
//! - **Nothing overflows.** Any number of attempts, factor and duration gives a wait within its bounds.
//! - **Cancel safety.** Dropping a call drops what is under way and leaves no wake-up; a retry that was paid for and not
//!   made goes back into the budget.
//! - Time is tokio's, so the paused clock works. A call that has to wait needs a runtime with time enabled.
//!
//! # The limit of one attempt
//!
//! This crate decides, and limits nothing itself. [`Attempt::deadline`] is the instant to put on an attempt, and it
//! shrinks to the time that remains. Only one of the two, the attempt's timer or the wait's, exists at a time:
//!
//! ```
//! use std::{io, time::Duration};
//! use outbound_retry::Retry;
//!
//! const POLICY: Retry = Retry::attempts(5)
//!     .within(Duration::from_secs(60))
//!     .attempt_timeout(Duration::from_secs(20));
//!
//! # async fn fetch() -> io::Result<()> { std::future::pending().await }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let started = tokio::time::Instant::now();
//! let reply = POLICY.call(|attempt| async move {
//!     let deadline = attempt.deadline().expect("the policy has one");
//!     tokio::time::timeout_at(deadline, fetch()).await?   // or outbound_timeout::timeout_at(attempt.deadline(), ..)
//! });
//! assert_eq!(reply.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
//! assert!(started.elapsed() <= Duration::from_secs(60));
//! # }
//! ```
//!
//! # Streams
//!
//! A stream may be opened again until something of it has been delivered, and never after: the first items would come
//! twice. [`Retrying::stream`] keeps that rule; in a loop, [`Attempts::commit`] marks the moment.
//!
//! # Hedging
//!
//! Where one call in a hundred takes a hundred times as long as the others, a second one beside it is most likely done
//! sooner. [`Hedge`] makes it once the first has run longer than a percentile of the latest calls, if the budget has
//! room, and drops the slower of the two. The operation runs twice at the same time then, and has to be safe for it.
//!
//! A hedge is for slowness and a retry for failures. Around hedges, the retry gives each pair its limits:
//!
//! ```
//! use outbound_retry::{Budget, Hedge, Latencies, Retry};
//!
//! const POLICY: Retry = Retry::attempts(3);
//! const HEDGE: Hedge = Hedge::at_percentile(95);
//!
//! # async fn fetch() -> Result<&'static str, ()> { Ok("page") }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! // For all calls to a server.
//! let (latencies, budget) = (Latencies::new(), Budget::percent(5));
//!
//! let reply = POLICY.any_error().budget(&budget).call(|retry| {
//!     HEDGE.until(retry.deadline()).call_idempotent(&latencies, &budget, |_| fetch())
//! });
//! assert_eq!(reply.await, Ok("page"));
//! # }
//! ```
//!
//! # Layers
//!
//! Retries in several layers multiply: three layers of four attempts make 64 calls. [`Retry::outermost`] makes a
//! layer step back wherever another one retries around it.
//!
//! # Coming from tenacity
//!
//! | tenacity | here |
//! |---|---|
//! | `@retry`, `Retrying`, `AsyncRetrying` | [`Retry::call`], [`Retry::when`] |
//! | `for attempt in Retrying(..)`, `async for` | [`Retry::start`], [`Attempts::failed`] |
//! | `retry_with`, `copy` | a setter on a copy: `POLICY.max_attempts(9)` |
//! | `enabled=False` | [`Retry::enabled`] |
//! | `name` | not offered, because a policy is a named constant |
//! | `stop_after_attempt` | [`Retry::attempts`] |
//! | `stop_after_delay`, `stop_before_delay` | [`Retry::within`], which is the second: the first one overruns |
//! | `stop_never` | [`Retry::forever`] |
//! | `stop_any`, <code>a &#124; b</code> | set both |
//! | `stop_all`, `a & b` | [`Retrying::stop_when`] |
//! | `stop_when_event_set` | [`Retrying::stop_when`]; to end a wait as well, drop the call |
//! | `wait_none`, `wait_fixed` | [`Wait::none`], [`Wait::fixed`] |
//! | `wait_random` | [`Wait::random`] |
//! | `wait_incrementing` | [`Wait::incrementing`] with [`max`](Wait::max) |
//! | `wait_exponential` | [`Wait::exponential`] with [`factor`](Wait::factor), [`min`](Wait::min), [`max`](Wait::max) |
//! | `wait_random_exponential`, `wait_full_jitter` | [`Wait::full_jitter`] |
//! | `wait_exponential_jitter` | [`Wait::additive_jitter`] |
//! | `wait_chain` | [`Wait::steps`], or [`Retrying::wait_with`] by [`Attempt::number`] |
//! | `wait_combine`, `a + b` | [`Retrying::wait_with`] |
//! | `wait_exception` | [`Verdict::RetryAfter`] with [`Hint::Exact`] |
//! | `retry_if_exception`, `_type`, `_message`, `_cause_type`, and their `not` | [`Retry::when`] with a closure or `matches!` |
//! | `retry_unless_exception_type` | [`Retry::when_result`] |
//! | `retry_if_result`, `retry_if_not_result` | [`Retry::when_result`] |
//! | `retry_any`, `retry_all` | one closure with `||` and `&&` |
//! | `retry_always`, `retry_never` | [`Retry::any_error`]; `enabled(false)` |
//! | async predicates | the loop: `attempts.failed_as(judge(&error).await, error)` |
//! | `TryAgain` | an error of one's own that `when` retries |
//! | `before` | the first lines of the operation, which is given its [`Attempt`] |
//! | `after` | [`Retry::when`] or [`Retry::when_result`], which see each outcome |
//! | `before_sleep`, `before_sleep_log` | [`Retrying::before_sleep`] |
//! | `before_log`, `after_log` | a line of one's own where `before` and `after` are |
//! | async callbacks | the loop |
//! | `reraise=True` | always: the error is the operation's own |
//! | `RetryError`, `retry_error_cls` | not offered, because the caller's own error says more; [`Report`] says the rest |
//! | `retry_error_callback` | `.or_else(..)` on the result |
//! | `statistics` | [`Call::report`], [`Attempts::report`] |
//! | `RetryCallState` | [`Attempt`] while it runs, [`Report`] afterwards |
//! | `sleep=`, `nap` | not offered, because tokio's paused clock makes a test instant |
//! | `sleep_using_event` | dropping the call ends its wait |
//!
//! # Coming from backon
//!
//! | backon | here |
//! |---|---|
//! | `ExponentialBuilder`, `ConstantBuilder`, `FibonacciBuilder` | [`Wait::exponential`], [`Wait::fixed`], [`Wait::fibonacci`] |
//! | `with_min_delay`, `with_max_delay`, `with_factor` | the argument, [`Wait::max`], [`Wait::factor`] |
//! | `with_jitter`, `with_jitter_seed` | a jitter of choice, within the maximum; [`Retrying::seed`] |
//! | `with_max_times(n)` | [`Retry::attempts`]`(n + 1)`, which counts the first one too |
//! | `without_max_times` | [`Retry::forever`] |
//! | `with_total_delay` | [`Retry::within`], which counts the attempts too |
//! | `op.retry(policy)` | [`Retry::call`] |
//! | `when`, `adjust`, `notify` | [`Retry::when`]; [`Verdict::RetryAfter`] or [`Retrying::wait_with`]; [`Retrying::before_sleep`] |
//! | `RetryWithContext` | the loop, which borrows what it likes |
//! | `sleep`, `BlockingRetry` | not offered, as above and below |
//!
//! # Not offered
//!
//! Blocking retries (the loop around [`Attempts::decide`] is four lines), and circuit breakers: a spent [`Budget`]
//! keeps a failing server from being buried without refusing first attempts.
#![forbid(unsafe_code)]

mod attempt;
mod attempts;
mod budget;
mod call;
mod draw;
mod hedge;
mod nested;
pub mod policy;
mod report;
mod retry;
mod retrying;
mod run;
mod stream;
mod timing;
mod verdict;
mod wait;

pub use attempt::Attempt;
pub use attempts::{Attempts, Failed};
pub use budget::Budget;
pub use call::Call;
pub use hedge::{Hedge, Hedged, Latencies};
pub use report::{Report, StopReason};
pub use retry::Retry;
pub use retrying::Retrying;
pub use stream::RetryStream;
pub use verdict::{Hint, Verdict};
pub use wait::Wait;
