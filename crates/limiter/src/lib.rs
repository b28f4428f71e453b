//! Limits on what goes out: so many at once, so many per second, so many requests and tokens per minute.
//!
//! Three limiters, each a cheap handle to clone into every task. All are strictly first come first served, weighted, and
//! may be changed while they are in use. Of a rate, one second's worth may come at once unless it says otherwise.
//! [`Keyed`] has one of them for each key, and [`Aimd`] learns how much at once from overload.
//!
//! ```
//! use std::time::Duration;
//! use outbound_limiter::{ConcurrencyLimiter, Cost, QuotaLimiter, Rate, RateLimiter, Observation};
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // At most 10 at once.
//! let limiter = ConcurrencyLimiter::new(10);
//! let permit = limiter.acquire().await;
//! drop(permit);
//! let page = limiter.run(|| async { "the page" }).await;
//!
//! // 500 per minute, and never more than 10 in a row.
//! let rate = RateLimiter::new(Rate::per_minute(500).burst(10));
//! rate.acquire(1).await;
//!
//! // What a provider counts. An estimate is reserved in all dimensions or in none, and settled with the truth.
//! let quota = QuotaLimiter::builder()
//!     .requests_per_minute(500)
//!     .tokens_per_minute(90_000)
//!     .max_concurrent(64)
//!     .build()?;
//! let reservation = quota.reserve(Cost::request().input_tokens(800).output_tokens(400)).await?;
//! let sent_at = Instant::now();
//! let charge = reservation.sent();
//! // ... the reply comes, and says what it did cost:
//! charge.settle(Cost::request().input_tokens(812).output_tokens(97));
//!
//! // It might have been a refusal: then all wait.
//! quota.observe(Instant::now(), &Observation::new(sent_at).refused(Some(Duration::from_secs(20))));
//! let deadline = Instant::now() + Duration::from_secs(5);
//! let error = quota.reserve(Cost::request()).before(deadline).await.unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "the request would have to wait 20.1 s for the server, which has refused requests"
//! );
//! # assert_eq!(page, "the page");
//! # Ok(())
//! # }
//! ```
//!
//! # Which one
//!
//! | known elsewhere as | here |
//! |---|---|
//! | **permits** | |
//! | `asyncio.Semaphore(n)`, `tokio::sync::Semaphore`, tower `ConcurrencyLimit` | [`ConcurrencyLimiter::new`]; unlike those it can shrink below what is in use |
//! | `async with semaphore:` | [`ConcurrencyLimiter::run`], which takes a closure, or hold a [`Permit`] |
//! | `acquire()`, `release()` | [`acquire`](ConcurrencyLimiter::acquire), and dropping the permit: so the mistake that `asyncio.BoundedSemaphore` reports cannot be made |
//! | `locked()` | [`try_acquire`](ConcurrencyLimiter::try_acquire), [`available`](ConcurrencyLimiter::available) |
//! | tokio's `close()` | a flag of your own, and [`resize`](ConcurrencyLimiter::resize) to let all in who wait, to see it; or drop their futures |
//! | **rates** | |
//! | `aiolimiter.AsyncLimiter(rate, period)`, `governor::RateLimiter::direct`, Go `rate.NewLimiter(r, b)`, tower `RateLimit` | [`RateLimiter::new`] of a [`Rate`] |
//! | governor `Quota::with_period`, Go `rate.Every` | [`Rate::per`] |
//! | aiolimiter `max_rate`, governor `allow_burst`, the `b` of Go | [`Rate::burst`] |
//! | a sliding window log | [`Rate::strict`] |
//! | `async with limiter:`, `acquire(n)`; governor `until_ready`, `until_n_ready`; Go `Wait`, `WaitN` | [`RateLimiter::acquire`]; more than the burst at once is possible |
//! | aiolimiter `has_capacity`; governor `check`, `check_n`; Go `Allow`, `AllowN` | [`RateLimiter::try_acquire`] |
//! | governor `NotUntil::wait_time_from`, Go `Reservation.Delay` | [`MustWait`] |
//! | Go `WaitN` with a context's deadline | [`AcquireRate::before`], [`Reserve::before`] |
//! | Go `ReserveN` and `Cancel` | dropping the future: units are taken when the turn comes, not before |
//! | Go `SetLimitAt`, `SetBurstAt` | [`RateLimiter::set_rate_at`], which also times those anew who wait |
//! | governor `StateSnapshot`, Go `Tokens` | [`RateLimiter::available`] |
//! | governor `until_ready_with_jitter` | nothing: those who wait have an order, and come one by one |
//! | governor `FakeRelativeClock` | tokio's paused clock, or the `_at` methods |
//! | **both** | |
//! | `governor::RateLimiter::keyed`, `check_key`, `retain_recent` | [`Keyed`], with quotas that differ by key |
//! | several of these in a row | [`QuotaLimiter`]: all or nothing, and settled afterwards |
//! | Netflix `AIMDLimit`, promptfoo's scheduler | [`Aimd`] |
//! | `inspect_ai`'s adaptive connections, Netflix `Gradient2Limit`, `VegasLimit` | [`AutoConcurrency`], which looks at the work that gets done, not at latency |
//!
//! # Promises
//!
//! - **Order.** Nobody is overtaken, except in a [`QuotaLimiter`] where that cannot delay anybody who is ahead.
//! - **Nothing waits for ever**, as long as the limit is not 0: a request larger than what may come at once is let through
//!   when nothing is in use, or the bucket is full. What a quota could never admit is refused at once.
//! - **Dropping is cancelling.** A future that is dropped gives up its place, and what it was given goes to the next; a
//!   dropped guard gives back what its type says.
//! - **Exact.** Buckets count in integers without rounding: never faster than asked, nor slower, in all of `u64`.
//! - **Quiet.** A waiter is polled when it comes and when it is let through. The whole line has one timer, which wakes the
//!   line and not a waiter, so a future that nobody polls holds up nobody else. It lives on the tokio runtime of the task
//!   that set it last; if that runtime is shut down, another takes over.
//! - Time is tokio's, so a paused clock is obeyed. The `_at` methods take the time from the caller.
//!
//! # What a quota believes, and why
//!
//! 1. *Limit*: the lower of what the user told and what the reply to the latest request said.
//! 2. *Level*: each reading of what is left moves the bucket, as far as all moments agree at which it may have been counted.
//!    What came in since and found the server full is not counted. Tokens that were not used come back or do not as
//!    [`QuotaBuilder::charging`] says, until the readings contradict.
//! 3. *Burst*: a second's worth, or what the server last said is left.
//! 4. *Window*: as named, else the shortest usual one that the resets allow. A reset that ends a window brings all at once.
//! 5. *Others*: a running mean of what is missing at the server and was not sent from here is left to them.
//! 6. *Refusal*: the gate closes for the wait it names. Then known limits set the pace, a little below what is left.
//! 7. *No limit known*: what was served between two refusals is what came in. The largest of the last four measurements,
//!    less 1 %, is the pace, for requests and tokens each; the one that was used most is the one that was too high. What is
//!    waited for grows by 1 % in the first second without a refusal, and by 1 % more in each second after it.
//! 8. *In parallel*: a refusal that names it bounds what is in flight; a round of successes raises the bound by one. So does
//!    one that nothing explains and that asks for 2 s or more, until one that kept the bound is refused.
//! 9. *Log*: where refusals come whenever a second's worth was sent in the second before, what was sent in the last second
//!    counts in place of the bucket, until refusals come that do not fit, or readings that others have a part in.
//! 10. *Nothing known at all*: the gate opens slowly, in about the time that it was closed.
//!
//! `cargo bench --bench limiter -- goodput` shows how near a batch comes to an oracle's time, against buckets, windows and
//! logs of a second; `-- simulation` the same for ten minutes against servers that count by the minute: on buckets and fixed
//! windows 99.0 % of what an omniscient client gets, or better, with no refusals; where others take 30 % of a bucket, 70 %, with
//! 15 refusals per 1,000. A sliding log of a minute whose resets are passed on as [`Reading::fills_by`] is taken for a
//! bucket: all is used, and 181 are refused per 1,000. Without its readings, by its waits alone, it gets 98 % and 2.
//!
//! # Not offered
//!
//! - Closing permits or rates: so [`acquire`](ConcurrencyLimiter::acquire) cannot fail, and needs no `?`. A program is shut
//!   down by one signal, not by each limiter. Drop the futures that wait, or `select!` over them and the signal. A
//!   [`QuotaLimiter`], whose reservations can fail anyway, can be closed.
//! - Waiting without order: it starves the large.
//! - Priorities: whoever may pass makes others wait, and ageing has to make up for it. Several limiters, or a priority
//!   queue in front of one, say plainly who comes first.
//! - A rate without a burst of its own, and blocking calls.
//! - More than four dimensions with a name: each costs a number in every [`Cost`], whether it is used or not.
//! - A share for each key under a common limit.
//! - Sharing limits between processes. A [`QuotaLimiter`] that hears what the server says leaves to others what they take;
//!   and one that is [`granted`](QuotaBuilder::granted) its units is refilled by whoever shares them out, in the place of
//!   time.
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
