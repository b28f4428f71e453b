//! Limits, retries and timeouts as [tower](https://docs.rs/tower) layers, around any service.
//!
//! tower's own layers for these tasks leave much to the program: a retry policy has to be written, a rate limit
//! cannot be shared by clones of a service, and no layer knows a quota with several dimensions.
//!
//! These layers put the limiters, retries and timeouts of the `outbound` crates around any tower service. A limiter
//! is shared by all services that have it, and a permit is always given back.
//!
//! ```
//! use std::{convert::Infallible, sync::atomic::{AtomicU32, Ordering::Relaxed}, time::Duration};
//! use outbound_limiter::{ConcurrencyLimiter, Rate, RateLimiter};
//! use outbound_retry::{Budget, Retry};
//! use outbound_tower::{BoxError, LimitLayer, RetryLayer, TimeoutLayer, retry_http};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! const POLICY: Retry = Retry::attempts(4).within(Duration::from_secs(60));
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), BoxError> {
//!     // A server that is overloaded at first.
//!     static CALLS: AtomicU32 = AtomicU32::new(0);
//!     let server = service_fn(|_: http::Request<()>| async {
//!         let status = if CALLS.fetch_add(1, Relaxed) == 0 { 503 } else { 200 };
//!         Ok::<_, Infallible>(http::Response::builder().status(status).body("hello").unwrap())
//!     });
//!
//!     let service = ServiceBuilder::new()
//!         // The whole call, with all its attempts and waits.
//!         .layer(TimeoutLayer::new(Duration::from_secs(90)))
//!         .layer(RetryLayer::new(POLICY.when_result(retry_http).budget(Budget::percent(10))))
//!         // Each attempt waits for the two limiters, and then has 20 seconds.
//!         .layer(LimitLayer::new(RateLimiter::new(Rate::per_second(50))))
//!         .layer(LimitLayer::new(ConcurrencyLimiter::new(8)))
//!         .layer(TimeoutLayer::new(Duration::from_secs(20)))
//!         .service(server);
//!
//!     let response = service.oneshot(http::Request::new(())).await?;
//!     assert_eq!(response.status(), 200);
//!     assert_eq!(CALLS.load(Relaxed), 2);
//!     Ok(())
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add http
//! cargo add outbound-limiter --path ../outbound/crates/limiter
//! cargo add outbound-retry --path ../outbound/crates/retry
//! cargo add tokio --features macros,rt,test-util
//! cargo add tower --features util
//! ```
//!
//! # What is in it
//!
//! | to | use |
//! |---|---|
//! | limit the time of each call | [`TimeoutLayer`]; the error is an `outbound_timeout::Elapsed` |
//! | call again after a failure | [`RetryLayer`] with an `outbound_retry::Retry`: attempts, waits, verdicts, hints, a budget, hooks |
//! | limit concurrency, a rate or a quota | [`LimitLayer`] with a limiter of `outbound_limiter`, or a [`QuotaShare`] |
//! | put another limiter into a layer | [`Reserve`] |
//! | decide by status which HTTP responses are retried | [`retry_http`], which reads `Retry-After` |
//!
//! The order is that of `ServiceBuilder`: the first layer is the outermost. Below a retry, each attempt passes
//! through all layers again.
//!
//! # Guarantees
//!
//! - **Cancel safety.** Dropping a response future drops the call inside it and ends a wait. It gives back the
//!   permit, the part of a quota that was not sent, and the retry that was paid for and not made.
//! - **Fairness.** Requests wait in the order of their limiter.
//! - **Readiness.** `poll_ready` of a [`Limit`] waits for the inner service and then for the limiter, and keeps the
//!   permit for the next `call`. A service that is dropped gives an unused permit back. A clone starts without one.
//!   [`RetryLayer`] clones its inner service, so layers below it wait inside each attempt. It is ready when the inner
//!   service is, and the first attempt uses what that reserved.
//! - **Errors.** [`Timeout`] and [`Limit`] add an error to those of the inner service, and return a [`BoxError`] as
//!   tower's layers do. `downcast_ref` finds the inner error, [`Elapsed`](outbound_timeout::Elapsed) or
//!   [`QuotaError`](outbound_limiter::QuotaError) in it. [`RetryLayer`] returns the last error unchanged.
//! - **Time.** All time is tokio's, so the paused clock works. A limit on a call starts when its future first returns
//!   `Pending`.
//! - **Panics.** As everywhere in tower, `call` panics unless `poll_ready` has returned ready.
//!
//! # What it does not do
//!
//! - There is no layer for hedging. Whether a request may be sent twice is known where it is made: see
//!   [`Hedge`](outbound_retry::Hedge).
//! - It does not retry requests that cannot be cloned. Retry where such a request is made.
//! - A permit does not include the body of a response that is read later.
//!
//! # Coming from tower's own layers
//!
//! | `tower` | here |
//! |---|---|
//! | `TimeoutLayer::new(d)` | [`TimeoutLayer::new`]; the error says how long the limit was |
//! | `RetryLayer::new(policy)` with a `Policy` of yours | [`RetryLayer::new`] with an `outbound_retry::Retry` |
//! | `tower::retry::budget::TpsBudget` | `outbound_retry::Budget` |
//! | `tower::retry::backoff::ExponentialBackoff` | `outbound_retry::Wait` |
//! | `ConcurrencyLimitLayer`, `GlobalConcurrencyLimitLayer` | [`LimitLayer`] with a `ConcurrencyLimiter`; always global |
//! | `RateLimitLayer` | [`LimitLayer`] with a `RateLimiter`; it can be cloned |
//! | `HedgeLayer` | `outbound_retry::Hedge`, around the call |
//!
//! # Cost
//!
//! There are no features. [`TimeoutLayer`] allocates nothing for a call. [`LimitLayer`] boxes a future only if it
//! waits. `benches/RESULTS.md` in the repository has the measured costs of the limiters, retries and timeouts.
#![forbid(unsafe_code)]

mod http;
mod limit;
mod retry;
mod timeout;

pub use crate::{
    http::{retry_after, retry_http},
    limit::{Limit, LimitLayer, Limited, QuotaShare, Reserve},
    retry::{Retried, RetryLayer, Retrying},
    timeout::{Timed, Timeout, TimeoutLayer},
};

/// Any error, as tower's layers give it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
