//! Trying again: when, how long to wait, when to stop, what it may cost.
//!
//! A request that failed is often worth another attempt. But careless retries make an outage worse: all clients retry at
//! the same instant, for errors that no retry can mend, past the time that anyone still waits, and each layer multiplies
//! the calls of the layer above.
//!
//! Here a policy is plain data, one function says what to do about an error, and there is one loop.
//!
//! ```
//! use std::time::Duration;
//! use outbound_retry::{Retry, Wait};
//!
//! #[derive(Debug, PartialEq)]
//! enum ApiError { Overloaded, BadRequest }
//!
//! impl ApiError {
//!     fn is_transient(&self) -> bool { *self == Self::Overloaded }
//! }
//!
//! async fn fetch(attempt: u32) -> Result<&'static str, ApiError> {
//!     if attempt < 3 { Err(ApiError::Overloaded) } else { Ok("page") }
//! }
//!
//! const POLICY: Retry = Retry::attempts(5)
//!     .within(Duration::from_secs(600))
//!     .wait(Wait::exponential(Duration::from_millis(10)).max(Duration::from_secs(30)).full_jitter());
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let reply = POLICY.when(ApiError::is_transient).call(|attempt| fetch(attempt.number())).await;
//!     assert_eq!(reply, Ok("page"));
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add tokio --features macros,rt
//! ```
//!
//! # What is in it
//!
//! | type | is |
//! |---|---|
//! | [`Retry`] | the policy: attempts, time, waits, the weight of a server's hint, and closures. `Copy`, usable in a `const` |
//! | [`policy`] | the names of policies with closures, for a `static` or a return type; [`policy::Judge`] for hooks of your own |
//! | [`Wait`], [`Waits`] | how long to wait before each retry; the same as an iterator |
//! | [`Hint`] | how a wait that the server asks for changes the policy's wait; [`Retry::give_up_beyond`] bounds it |
//! | [`Verdict`] | what to do about one error: a `bool`, or stop, retry, retry after a time, retry free of charge |
//! | [`Judged`], [`bail`] | an error that brings its verdict with it |
//! | [`Ended`] | an attempt that has ended, as hooks see it: number, result, elapsed time, a random draw |
//! | [`Call`] | the loop as a future: `POLICY.when(..).call(..)`; with a named [`Operation`] by [`Retry::operate`] |
//! | [`RetryStream`] | the loop for a stream, which retries until the first item and then never |
//! | [`Attempts`], [`Failed`] | the loop written out by you: `POLICY.start()`; the wait after a failure |
//! | [`Hedge`], [`Hedged`] | a second attempt beside one that is slow: `HEDGE.call_idempotent(..)` |
//! | [`Latencies`] | what "slow" means, measured |
//! | [`Budget`] | a shared allowance for retries and hedges |
//! | [`Report`], [`StopReason`] | how many attempts there were, and why it gave up |
//!
//! # The loop written out
//!
//! For an operation that borrows, or a decision that awaits, write the loop:
//!
//! ```
//! use outbound_retry::{Retry, Wait};
//!
//! # async fn fetch(pages: &mut Vec<u32>) -> Result<(), std::io::Error> {
//! #     pages.push(1);
//! #     if pages.len() < 3 { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(()) }
//! # }
//! # fn is_transient(error: &std::io::Error) -> bool { error.kind() == std::io::ErrorKind::TimedOut }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), std::io::Error> {
//! let mut pages = Vec::new();
//! let mut attempts = Retry::attempts(5).start();
//! while let Err(error) = fetch(&mut pages).await {
//!     attempts.failed_as(is_transient(&error), error).await?;
//! }
//! assert_eq!(attempts.report().attempts(), 3);
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! - **The last error is yours**, unchanged. Where results are judged, so is the last result.
//! - **Cancel safety.** Dropping a call drops the attempt under way and leaves no wake-up. A retry that was paid for and
//!   not made goes back into the budget.
//! - **Fairness.** Of many retries without a wait, one in 32 lets other tasks run first. What is drawn at random is
//!   bounded before it is drawn, so no bound sends many clients back at the same instant.
//! - **Time.** All time is tokio's, so the paused clock works. A wait that would end at the deadline or after it is not
//!   begun, and there is no wait after the last attempt.
//! - **Panics.** No number of attempts, no factor and no duration overflows. A call panics where it is polled after it
//!   has finished, and where it has to wait outside a tokio runtime with time enabled. A panic of the operation or of a
//!   hook passes through.
//!
//! # A limit for one attempt
//!
//! [`attempt_timeout`](Retry::attempt_timeout) ends each attempt that takes too long, or longer than the time that
//! remains of [`within`](Retry::within). The operation's error is then made from [`Elapsed`] and judged like any other
//! error. [`Attempt::deadline`] is the same instant, for an operation that passes it on.
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
//! A policy owns its parts. A function can return one, a `static` can hold one, and a call can be spawned:
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
//! A stream may be opened again until its first item has been delivered. After that a new attempt would deliver the
//! first items twice. [`Retry::stream`] keeps this rule. In a loop of your own, [`Attempts::commit`] marks the moment.
//!
//! # Hedging
//!
//! Where one call in a hundred takes a hundred times as long as the others, a second call beside it is most likely done
//! sooner. [`Hedge`] makes the second call once the first has run longer than a percentile of the latest calls. It does
//! so only where the budget allows it, and it drops the slower of the two. The operation then runs twice at the same
//! time, and must be safe for that.
//!
//! A hedge answers slowness, and a retry answers failures. A retry around hedges puts its limits on each pair:
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
//! // One of each for all calls to a server.
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
//! Retries in several layers multiply: three layers of four attempts make 64 calls. A policy with
//! [`Retry::outermost`] makes one attempt only where another layer retries around it.
//!
//! # Without async
//!
//! [`Attempts::decide`] says how long to wait and does not wait itself. A loop around it works without a runtime:
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
//! # What it does not do
//!
//! - It has no circuit breaker. A spent [`Budget`] protects a failing server without refusing first attempts.
//! - It does not know HTTP. What a status or a `Retry-After` header means is yours to say, with a [`Verdict`].
//! - It does not limit rates or concurrency: see `outbound-limiter`.
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
//! | `stop_after_delay`, `stop_before_delay` | [`Retry::within`], which behaves as `stop_before_delay`: `stop_after_delay` overruns its time |
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
//! | `before_log`, `after_log` | a log line of your own in the places of `before` and `after` |
//! | async callbacks | the loop |
//! | `reraise=True` | always: the error is the operation's own |
//! | `RetryError`, `retry_error_cls` | not offered, because your own error says more; [`Report`] has the rest |
//! | `retry_error_callback` | `.or_else(..)` on the result |
//! | `statistics` | [`Call::report`], [`Attempts::report`] |
//! | `RetryCallState` | [`Attempt`] while it runs, [`Ended`] in hooks and closures (outcome, number, seconds since the start), [`Report`] afterwards; the arguments are in the scope of the closure |
//! | `sleep=`, `nap` | not offered, because tokio's paused clock makes a test instant |
//! | `sleep_using_event` | dropping the call ends its wait |
//!
//! # Coming from backon
//!
//! | backon | here |
//! |---|---|
//! | `ExponentialBuilder`, `ConstantBuilder`, `FibonacciBuilder` | [`Wait::exponential`], [`Wait::fixed`], [`Wait::fibonacci`] |
//! | `with_min_delay`, `with_max_delay`, `with_factor` | the argument, [`Wait::max`], [`Wait::factor`] |
//! | `with_jitter`, `with_jitter_seed` | any of the jitters, within the maximum; [`Retry::seed`] |
//! | `build()`, an iterator | [`Wait::iter`] |
//! | `with_max_times(n)` | [`Retry::attempts`]`(n + 1)`, which counts the first attempt too |
//! | `without_max_times` | [`Retry::forever`] |
//! | `with_total_delay` | [`Retry::within`], which counts the attempts too |
//! | `op.retry(policy)` | [`Retry::call`] |
//! | `when`, `adjust`, `notify` | [`Retry::when`]; [`Verdict::RetryAfter`] or [`Retry::wait_with`]; [`Retry::before_sleep`] |
//! | `RetryWithContext` | the loop, which can borrow anything |
//! | `sleep` | not offered, as above |
//! | `BlockingRetry` | the loop without async, above |
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
//! # Cost
//!
//! A success at the first attempt draws no random number and allocates nothing. It reads no clock, unless it has to wait
//! or a limit in time is set. A wait of zero takes no timer. At any time there is at most one timer: that of the attempt
//! or that of the wait. There are no features. `benches/RESULTS.md` in the repository has the measured costs, beside
//! those of other crates.
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
