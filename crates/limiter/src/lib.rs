//! Limits on what goes out: so many at once, so many per second, so many requests and tokens per minute.
//!
//! A provider refuses requests that come too fast, and counts requests, tokens and requests in flight at the same time. A
//! semaphore and a rate limiter in a row either waste what is allowed or run into refusals, and large requests starve
//! behind small ones.
//!
//! The three limiters here are exact and fair, and the quota follows what the server says.
//!
//! ```
//! use std::{error::Error, time::Duration};
//! use outbound_limiter::{ConcurrencyLimiter, Cost, Observation, QuotaLimiter, Rate, RateLimiter};
//! use tokio::time::Instant;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     // At most 10 at once.
//!     let limiter = ConcurrencyLimiter::new(10);
//!     let page = limiter.run(|| async { "the page" }).await;
//!     assert_eq!(page, "the page");
//!
//!     // 500 per minute, and at most 10 in a burst.
//!     let rate = RateLimiter::new(Rate::per_minute(500).burst(10));
//!     rate.acquire(1).await;
//!
//!     // What a provider counts. An estimate is reserved in all dimensions or in none.
//!     let quota = QuotaLimiter::builder()
//!         .requests_per_minute(500)
//!         .tokens_per_minute(90_000)
//!         .max_concurrent(64)
//!         .build()?;
//!     let reservation = quota.reserve(Cost::request().input_tokens(800).output_tokens(400)).await?;
//!     let sent_at = Instant::now();
//!     let charge = reservation.sent();
//!     // ... the reply comes, and says what the request has cost:
//!     charge.settle(Cost::request().input_tokens(812).output_tokens(97));
//!
//!     // After a refusal all requests wait. Here one would wait longer than its deadline, so it fails at once.
//!     quota.observe(Instant::now(), &Observation::new(sent_at).refused(Some(Duration::from_secs(20))));
//!     let deadline = Instant::now() + Duration::from_secs(5);
//!     assert!(quota.reserve(Cost::request()).before(deadline).await.is_err());
//!     Ok(())
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
//! | type | is |
//! |---|---|
//! | [`ConcurrencyLimiter`] | permits: at most so many at once. Fair, weighted, resizable |
//! | [`RateLimiter`] | a [`Rate`]: so many units per period, as a token bucket or strictly in any stretch of time |
//! | [`QuotaLimiter`] | several dimensions at once: requests, tokens, named ones, concurrency. Reserved, sent, settled |
//! | [`Keyed`] | one limiter for each key |
//! | [`Aimd`] | a bound on concurrency that learns from overloads |
//! | [`AutoConcurrency`] | a bound on concurrency that learns from the work that is done |
//!
//! Each limiter is a cheap handle: clone it into every task. Limits can be changed while they are in use. Permits that are
//! moved into a task are [`OwnedPermit`]s, of [`acquire_owned`](ConcurrencyLimiter::acquire_owned).
//!
//! What a [`QuotaLimiter`] can do:
//!
//! | to | use |
//! |---|---|
//! | reserve, send and settle a request | [`reserve`](QuotaLimiter::reserve), [`try_reserve`](QuotaLimiter::try_reserve); [`Reservation::sent`]; [`Charge::settle`], [`Charge::refund`] |
//! | limit requests, tokens, input and output tokens | [`requests_per_minute`](QuotaBuilder::requests_per_minute), [`tokens_per_minute`](QuotaBuilder::tokens_per_minute), [`input_tokens_per_minute`](QuotaBuilder::input_tokens_per_minute), [`output_tokens_per_minute`](QuotaBuilder::output_tokens_per_minute) |
//! | limit anything else, in any window | [`QuotaDimension::named`], [`QuotaBuilder::limit`] |
//! | say how the server counts tokens | [`Charging`] |
//! | pass on what the server said | [`observe`](QuotaLimiter::observe) with an [`Observation`] and its [`Reading`]s; [`forget_readings`](QuotaLimiter::forget_readings) |
//! | stop all requests for a while | [`close_gate_until`](QuotaLimiter::close_gate_until), [`open_gate`](QuotaLimiter::open_gate), [`gate_closed_until`](QuotaLimiter::gate_closed_until) |
//! | change limits at run time, or close | [`set_limit`](QuotaLimiter::set_limit), [`set_max_concurrent`](QuotaLimiter::set_max_concurrent), [`close`](QuotaLimiter::close) |
//! | put the quotas of models below the quota of an account | [`QuotaBuilder::under`] |
//! | count by grants instead of time | [`QuotaBuilder::granted`], [`grant`](QuotaLimiter::grant), [`reclaim`](QuotaLimiter::reclaim) |
//! | see what requests wait for | [`snapshot`](QuotaLimiter::snapshot), [`Bottleneck`], [`in_flight`](QuotaLimiter::in_flight) |
//!
//! # Guarantees
//!
//! - **Cancel safety.** Dropping a future takes it out of the queue. What it was granted and did not take goes to the next
//!   request. A dropped guard gives back what its type says.
//! - **Fairness.** Requests are admitted in the order in which they came. In a [`QuotaLimiter`] a later request may
//!   overtake, but only where that cannot delay any request ahead of it. As long as the limit is not 0, no request waits
//!   for ever: one that is larger than what may come at once is admitted when nothing is in use or the bucket is full. A
//!   request that a quota could never admit fails at once.
//! - **Time.** All time is tokio's, so the paused clock works. Methods that end in `_at` take the time from the caller. A
//!   queue has one timer, on the runtime of the task that set it last. If that runtime ends, another takes over.
//! - **Exact.** Buckets count in integers without rounding: never faster than asked and never slower, for all of `u64`.
//! - **No useless polls.** A waiting request is polled when it comes and when it is admitted. One that is not polled delays
//!   no other.
//! - **Panics.** Futures panic where they are polled after they were ready. Waiting for time needs a tokio runtime with
//!   time enabled. A panic of the work gives its permit back.
//!
//! # How a quota estimates the server
//!
//! 1. *Limit*: the lower of the user's limit and the limit in the latest reply.
//! 2. *Level*: each reading of what remains moves the bucket. The server may have counted at several moments, so the bucket
//!    moves only as far as all these moments agree. What came in while the server was full is not counted. Tokens that were
//!    estimated and not used come back as [`QuotaBuilder::charging`] says, until the readings contradict it.
//! 3. *Burst*: the units of one second, or what the server last said remains.
//! 4. *Window*: as named, or the shortest usual window that fits the resets. A reset that ends a window brings everything
//!    at once.
//! 5. *Other clients*: a running mean of what is missing at the server, and was not sent from here, is left to them.
//! 6. *Refusal*: the gate closes for the wait that the refusal names. After it, known limits set the pace, a little below
//!    what remains.
//! 7. *No known limit*: what was served between two refusals is the measured rate. The pace is slightly below the largest
//!    of the latest measurements, for requests and tokens each. It grows slowly while no refusal comes.
//! 8. *Requests in flight*: a refusal that names them bounds their number, and a round of successes raises the bound by
//!    one. A refusal that nothing explains, and that asks for a long wait, is first taken for such a one.
//! 9. *Log*: if refusals come whenever one second's worth was sent in the last second, the server counts a sliding log. Then
//!    a log takes the place of the bucket, until refusals or readings contradict it.
//! 10. *Nothing known at all*: after a refusal the gate opens slowly, in about the time that it was closed.
//!
//! `cargo bench -p outbound-benches --bench limiter -- goodput` compares the time of a batch with the best possible time.
//! `-- simulation` runs against servers that count by the minute.
//!
//! # What it does not do
//!
//! - Permits and rates cannot be closed, so that [`acquire`](ConcurrencyLimiter::acquire) cannot fail. To shut down, drop
//!   the futures that wait, or `select!` over them and a signal. A [`QuotaLimiter`], whose reservations can fail anyway,
//!   can be closed.
//! - There is no waiting without an order: it would starve large requests.
//! - There are no priorities. Put a priority queue in front of a limiter, or use several limiters.
//! - There are no blocking calls.
//! - One [`Cost`] has at most four named dimensions, because each takes a number in every cost.
//! - A common limit does not guarantee a share to each key.
//! - Limits are not shared between processes. But a [`QuotaLimiter`] leaves to other clients what they take, and one that
//!   is [`granted`](QuotaBuilder::granted) its units is refilled by whatever distributes them.
//!
//! # Coming from tokio, tower, governor, asyncio, Go
//!
//! | there | here |
//! |---|---|
//! | **permits** | |
//! | `asyncio.Semaphore(n)`, `tokio::sync::Semaphore`, tower `ConcurrencyLimit` | [`ConcurrencyLimiter::new`]; it can also shrink below what is in use |
//! | `async with semaphore:` | [`ConcurrencyLimiter::run`], which takes a closure, or hold a [`Permit`] |
//! | `acquire()`, `release()` | [`acquire`](ConcurrencyLimiter::acquire), and dropping the permit, so that no permit can be released twice |
//! | `locked()` | [`try_acquire`](ConcurrencyLimiter::try_acquire), [`available`](ConcurrencyLimiter::available) |
//! | tokio's `close()` | a flag of your own, and [`resize`](ConcurrencyLimiter::resize) to admit all waiting requests so that they see it; or drop their futures |
//! | **rates** | |
//! | `aiolimiter.AsyncLimiter(rate, period)`, `governor::RateLimiter::direct`, Go `rate.NewLimiter(r, b)`, tower `RateLimit` | [`RateLimiter::new`] with a [`Rate`] |
//! | governor `Quota::with_period`, Go `rate.Every` | [`Rate::per`] |
//! | aiolimiter `max_rate`, governor `allow_burst`, the `b` of Go | [`Rate::burst`] |
//! | a sliding window log | [`Rate::strict`] |
//! | `async with limiter:`, `acquire(n)`; governor `until_ready`, `until_n_ready`; Go `Wait`, `WaitN` | [`RateLimiter::acquire`], also for more than the burst |
//! | aiolimiter `has_capacity`; governor `check`, `check_n`; Go `Allow`, `AllowN` | [`RateLimiter::try_acquire`] |
//! | governor `NotUntil::wait_time_from`, Go `Reservation.Delay` | [`MustWait`] |
//! | Go `WaitN` with a context's deadline | [`AcquireRate::before`], [`Reserve::before`] |
//! | Go `ReserveN` and `Cancel` | dropping the future: units are taken on admission, not before |
//! | Go `SetLimitAt`, `SetBurstAt` | [`RateLimiter::set_rate_at`], which also changes the wait of waiting requests |
//! | governor `StateSnapshot`, Go `Tokens` | [`RateLimiter::available`] |
//! | governor `until_ready_with_jitter` | not needed: waiting requests have an order and are admitted one by one |
//! | governor `FakeRelativeClock` | tokio's paused clock, or the `_at` methods |
//! | **both** | |
//! | `governor::RateLimiter::keyed`, `check_key`, `retain_recent` | [`Keyed`], where limits may differ by key |
//! | several of these in a row | [`QuotaLimiter`]: all or nothing, and settled afterwards |
//! | Netflix `AIMDLimit`, promptfoo's scheduler | [`Aimd`] |
//! | `inspect_ai`'s adaptive connections, Netflix `Gradient2Limit`, `VegasLimit` | [`AutoConcurrency`], which measures the work done and not the latency |
//!
//! # Cost
//!
//! Taking a free permit is one atomic operation. Taking from a rate or a quota is one short lock for each level. A quota
//! allocates when it learns of a new limit, and for its record of what was sent. There are no features.
//! `benches/RESULTS.md` in the repository has the measured costs, beside those of other limiters.
#![forbid(unsafe_code)]

mod aimd;
mod auto;
mod bucket;
mod budget;
mod concurrency;
mod keyed;
mod log;
mod quota;
mod rate;
mod sync;
mod wait_queue;

pub use crate::{
    aimd::Aimd,
    auto::{AutoConcurrency, End},
    concurrency::{Acquire, AcquireOwned, ConcurrencyLimiter, OwnedPermit, Permit, Run},
    keyed::{Key, Keyed, KeyedLimiter},
    quota::{
        Bottleneck, BuildError, Charge, Charging, Cost, DimensionSnapshot, GrantSnapshot, Named, Observation,
        QuotaBuilder, QuotaDimension, QuotaError, QuotaLimiter, Reading, Reservation, Reserve, Snapshot,
    },
    rate::{AcquireBefore, AcquireRate, MustWait, Rate, RateLimiter},
};
