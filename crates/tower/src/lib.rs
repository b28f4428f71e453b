//! Limits, retries and timeouts as [tower](https://docs.rs/tower) layers, around any service.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use outbound_limiter::{ConcurrencyLimiter, Rate, RateLimiter};
//! use outbound_retry::{Budget, Retry};
//! use outbound_tower::{BoxError, LimitLayer, RetryLayer, TimeoutLayer, retry_http};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! const POLICY: Retry = Retry::attempts(4).within(Duration::from_secs(60));
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let budget = Budget::percent(10);
//! # let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
//! # let server = service_fn(move |_: http::Request<()>| {
//! #     let status = if calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 { 503 } else { 200 };
//! #     async move { Ok::<_, Infallible>(http::Response::builder().status(status).body("hello").unwrap()) }
//! # });
//! let service = ServiceBuilder::new()
//!     // The whole, with all its attempts and waits.
//!     .layer(TimeoutLayer::new(Duration::from_secs(90)))
//!     .layer(RetryLayer::new(POLICY.when_result(retry_http).budget(budget)))
//!     // Each attempt waits for its turn, and is limited in time from then on.
//!     .layer(LimitLayer::new(RateLimiter::new(Rate::per_second(50))))
//!     .layer(LimitLayer::new(ConcurrencyLimiter::new(8)))
//!     .layer(TimeoutLayer::new(Duration::from_secs(20)))
//!     .service(server);
//!
//! let response = service.oneshot(http::Request::new(())).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # The layers
//!
//! | layer | in place of tower's | is |
//! |---|---|---|
//! | [`TimeoutLayer`] | `TimeoutLayer` | a limit on each call, from its first `Pending`; the error is an `outbound_timeout::Elapsed` |
//! | [`RetryLayer`] | `RetryLayer` with a policy of one's own | an `outbound_retry::Retry`: attempts, waits, verdicts, hints, a budget, hooks |
//! | [`LimitLayer`] | `ConcurrencyLimitLayer`, `GlobalConcurrencyLimitLayer`, `RateLimitLayer` | a permit, a unit of a rate or a share of a quota for each request |
//!
//! [`retry_http`] is a verdict on HTTP responses, with `Retry-After`.
//!
//! The order is that of `ServiceBuilder`: the first layer is the outermost. Under a retry each attempt passes through the
//! layers below it again.
//!
//! # Readiness
//!
//! `poll_ready` of a [`Limit`] waits for the inner service and then for the limiter, and keeps what it was given for the
//! next `call`. A service that is dropped unused gives it back. A clone starts without. As everywhere in tower, `call`
//! panics unless `poll_ready` has been ready.
//!
//! [`RetryLayer`] clones its inner service, so that what is below it waits for its turn inside each attempt: it is ready
//! when the inner service is, and the first attempt uses what that reserved.
//!
//! # Errors
//!
//! [`Timeout`] and [`Limit`] add an error to the inner service's own, and give a [`BoxError`] as tower's layers do;
//! `downcast_ref` finds the inner error, [`Elapsed`](outbound_timeout::Elapsed) or
//! [`QuotaError`](outbound_limiter::QuotaError) again. [`RetryLayer`] passes the last error on as it is.
//!
//! # Cancel safety
//!
//! Dropping a response future drops the call inside, ends a wait, and gives back the permit, the unsent share of a quota
//! and the retry that was paid for and not made.
//!
//! # Not offered
//!
//! Hedging as a layer: whether a request may be sent twice is known where it is made, see
//! [`Hedge`](outbound_retry::Hedge). Requests that cannot be cloned: make the retry where the request is made.
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
