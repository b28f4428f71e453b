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
//! | [`Retry`] | the policy: attempts, time, waits, what a server's hint is worth, and code. `Copy`, usable in a `const` |
//! | [`Wait`] | how long to wait before each retry |
//! | [`Verdict`] | what to do about one error: a `bool`, or stop, retry, retry after, retry free of charge |
//! | [`Judged`], [`bail`] | an error that brings its verdict |
//! | [`Ended`] | an attempt that has ended, as hooks see it: number, result, time gone by, a draw |
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
//! - **Success costs next to nothing.** At the first attempt: no random number, no allocation, and no clock unless it has
//!   to wait or a limit in time is set. A wait of zero takes no timer, and one in 32 of those lets other tasks run.
//! - **No herd.** What is drawn at random is bounded before it is drawn.
//! - **Nothing overflows.** Any number of attempts, factor and duration gives a wait within its bounds.
//! - **Cancel safety.** Dropping a call drops what is under way and leaves no wake-up; a retry that was paid for and not
//!   made goes back into the budget.
//! - Time is tokio's, so the paused clock works. A call that has to wait needs a runtime with time enabled.
//!
//! # The limit of one attempt
//!
//! [`attempt_timeout`](Retry::attempt_timeout) cuts each attempt that takes longer, or takes longer than the time that
//! remains of [`within`](Retry::within). The operation's error is made from [`Elapsed`] then, and judged like any other.
//! [`Attempt::deadline`] is the same instant, for an operation that passes it on. Only one of the two, the attempt's timer
//! or the wait's, exists at a time:
//!
//! ```
//! use std::{io, time::Duration};
//! use outbound_retry::{Retry, policy::AttemptTimeout};
//!
//! const POLICY: Retry<AttemptTimeout> = Retry::attempts(5)
//!     .within(Duration::from_secs(60))
//!     .attempt_timeout(Duration::from_secs(20));
//!
//! # async fn fetch() -> io::Result<()> { std::future::pending().await }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let started = tokio::time::Instant::now();
//! let reply = POLICY.call(|_| fetch()).await;
//! assert_eq!(reply.unwrap_err().kind(), io::ErrorKind::TimedOut);
//! assert!(started.elapsed() <= Duration::from_secs(60));
//! # }
//! ```
//!
//! # Policies as values
//!
//! A policy owns what it consists of. A function can return one, a `static` can hold one, and a call can be spawned:
//!
//! ```
//! use outbound_retry::{Retry, policy::{Rules, When}};
//!
//! # #[derive(Debug)]
//! # struct ApiError;
//! # impl ApiError { fn is_transient(&self) -> bool { true } }
//! # async fn fetch() -> Result<(), ApiError> { Ok(()) }
//! static POLICY: Retry<When<ApiError>> = Retry::attempts(5).when(ApiError::is_transient);
//!
//! fn logged(name: &'static str) -> Retry<impl Rules<(), ApiError> + Clone> {
//!     POLICY.before_sleep(move |failed, wait| eprintln!("{name}: {:?}, again in {wait:?}", failed.error()))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! tokio::spawn(POLICY.call(|_| fetch())).await.unwrap().unwrap();
//! logged("fetch").call(|_| fetch()).await.unwrap();
//! # }
//! ```
//!
//! # Streams
//!
//! A stream may be opened again until something of it has been delivered, and never after: the first items would come
//! twice. [`Retry::stream`] keeps that rule; in a loop, [`Attempts::commit`] marks the moment.
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
//! let reply = POLICY.budget(&budget).call(|retry| {
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
//! | `stop_all`, `a & b` | [`Retry::stop_when`] |
//! | `stop_when_event_set` | [`Retry::stop_when`]; to end a wait as well, drop the call |
//! | `wait_none`, `wait_fixed` | [`Wait::none`], [`Wait::fixed`] |
//! | `wait_random` | [`Wait::random`] |
//! | `wait_incrementing` | [`Wait::incrementing`] with [`max`](Wait::max) |
//! | `wait_exponential` | [`Wait::exponential`] with [`factor`](Wait::factor), [`min`](Wait::min), [`max`](Wait::max) |
//! | `wait_random_exponential`, `wait_full_jitter` | [`Wait::full_jitter`]; with a [`min`](Wait::min) the same *U(min, t)*, but up to *2 · min* while *t* is less |
//! | `wait_exponential_jitter` | [`Wait::additive_jitter`]; [`Wait::jitter`] for a share of the wait |
//! | `wait_chain` | [`Wait::steps`], or [`Retry::wait_with`] by [`Ended::number`] |
//! | `wait_combine`, `a + b` | [`Wait::sum`]`(&[a, b])` of constants; [`Retry::wait_with`] of what is only known later |
//! | `wait_exception` | [`Verdict::RetryAfter`] with [`Hint::Exact`] |
//! | `retry_if_exception`, `_type`, `_message`, `_cause_type`, and their `not` | [`Retry::when`] with a function, a closure or `matches!` |
//! | `retry_unless_exception_type` | [`Retry::when_result`] |
//! | `retry_if_result`, `retry_if_not_result` | [`Retry::when_ok`], with `when(\|_\| false)` where errors end it; an operation that cannot fail is a `Result<T, Infallible>` |
//! | `retry_any`, `retry_all` | one closure with `||` and `&&` |
//! | `retry_always`, `retry_never` | the default; `enabled(false)` |
//! | async predicates | the loop: `attempts.failed_as(judge(&error).await, error)` |
//! | `TryAgain` | [`Judged::new`]`(Verdict::Retry, error)` |
//! | `before` | the first lines of the operation, which is given its [`Attempt`] |
//! | `after` | [`Retry::after_attempt`], which sees the last attempt and a success too |
//! | `before_sleep`, `before_sleep_log` | [`Retry::before_sleep`] |
//! | `before_log`, `after_log` | a line of one's own where `before` and `after` are |
//! | async callbacks | the loop |
//! | `reraise=True` | always: the error is the operation's own |
//! | `RetryError`, `retry_error_cls` | not offered, because the caller's own error says more; [`Report`] says the rest |
//! | `retry_error_callback` | `.or_else(..)` on the result |
//! | `statistics` | [`Call::report`], [`Attempts::report`] |
//! | `RetryCallState` | [`Attempt`] while it runs, [`Ended`] in hooks and closures (outcome, number, seconds since the start), [`Report`] afterwards; the arguments are in the closure's own scope |
//! | `sleep=`, `nap` | not offered, because tokio's paused clock makes a test instant |
//! | `sleep_using_event` | dropping the call ends its wait |
//!
//! # Coming from backon
//!
//! | backon | here |
//! |---|---|
//! | `ExponentialBuilder`, `ConstantBuilder`, `FibonacciBuilder` | [`Wait::exponential`], [`Wait::fixed`], [`Wait::fibonacci`] |
//! | `with_min_delay`, `with_max_delay`, `with_factor` | the argument, [`Wait::max`], [`Wait::factor`] |
//! | `with_jitter`, `with_jitter_seed` | a jitter of choice, within the maximum; [`Retry::seed`] |
//! | `build()`, an iterator | [`Wait::iter`] |
//! | `with_max_times(n)` | [`Retry::attempts`]`(n + 1)`, which counts the first one too |
//! | `without_max_times` | [`Retry::forever`] |
//! | `with_total_delay` | [`Retry::within`], which counts the attempts too |
//! | `op.retry(policy)` | [`Retry::call`] |
//! | `when`, `adjust`, `notify` | [`Retry::when`]; [`Verdict::RetryAfter`] or [`Retry::wait_with`]; [`Retry::before_sleep`] |
//! | `RetryWithContext` | the loop, which borrows what it likes |
//! | `sleep` | not offered, as above |
//! | `BlockingRetry` | the loop below |
//!
//! # Coming from async-retry, p-retry
//!
//! | there | here |
//! |---|---|
//! | `retries`, `factor`, `minTimeout`, `maxTimeout`, `randomize` | [`Retry::attempts`]`(n + 1)`, [`Wait`] |
//! | `bail(error)`, `AbortError` | [`bail`] |
//! | `onRetry`, `onFailedAttempt` | [`Retry::before_sleep`], [`Retry::after_attempt`] |
//! | `shouldRetry` | [`Retry::when`] |
//! | `maxRetryTime` | [`Retry::within`] |
//! | `signal` | dropping the call |
//!
//! # Without async
//!
//! The loop around [`Attempts::decide`] blocks as well as any:
//!
//! ```
//! use std::{thread, time::Duration};
//! use outbound_retry::{Retry, Wait};
//!
//! const POLICY: Retry = Retry::attempts(3).wait(Wait::fixed(Duration::from_millis(1)));
//!
//! # fn read_port(attempt: u32) -> Result<u16, &'static str> { if attempt < 3 { Err("busy") } else { Ok(80) } }
//! let mut attempts = POLICY.start();
//! let port = loop {
//!     match read_port(attempts.attempt().number()) {
//!         Err(error) => thread::sleep(attempts.decide(true).map_err(|_| error)?),
//!         Ok(port) => break port,
//!     }
//! };
//! assert_eq!(port, 80);
//! # Ok::<(), &str>(())
//! ```
//!
//! # Not offered
//!
//! Circuit breakers: a spent [`Budget`] keeps a failing server from being buried without refusing first attempts.
#![forbid(unsafe_code)]

mod attempt;
mod attempts;
mod budget;
mod call;
mod draw;
mod elapsed;
mod ended;
mod hedge;
mod judged;
mod nanos;
mod nested;
mod operation;
pub mod policy;
mod report;
mod retry;
mod run;
mod settings;
mod stream;
mod timing;
mod verdict;
mod wait;

pub use attempt::Attempt;
pub use attempts::{Attempts, Failed};
pub use budget::Budget;
pub use call::Call;
pub use elapsed::Elapsed;
pub use ended::Ended;
pub use hedge::{Hedge, Hedged, Latencies};
pub use judged::{Judged, bail};
pub use operation::Operation;
pub use report::{Report, StopReason};
pub use retry::Retry;
pub use stream::RetryStream;
pub use verdict::{Hint, Verdict};
pub use wait::{Wait, Waits};
