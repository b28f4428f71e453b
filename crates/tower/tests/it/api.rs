//! Tests: the traits of public types.

use std::future::Ready;

use outbound_limiter::{ConcurrencyLimiter, RateLimiter};
use outbound_retry::policy::{AnyError, AttemptTimeout};
use outbound_tower::{
    BoxError, Limit, LimitLayer, Limited, QuotaShare, Retried, RetryLayer, Retrying, Timed, Timeout,
    TimeoutLayer,
};
use tower::util::ServiceFn;

type Call = Ready<Result<(), BoxError>>;
type Inner = ServiceFn<fn(()) -> Call>;

#[test]
fn auto_traits() {
    fn send_sync<T: Send + Sync>() {}
    fn unpin<T: Unpin>() {}
    fn cloned<T: Clone>() {}
    type Layers = (
        TimeoutLayer,
        RetryLayer,
        RetryLayer<AttemptTimeout>,
        LimitLayer<ConcurrencyLimiter>,
        LimitLayer<RateLimiter>,
        LimitLayer<QuotaShare>,
    );
    type Services = (
        Timeout<Inner>,
        Retrying<Inner>,
        Limit<Inner, ConcurrencyLimiter>,
        Limit<Inner, RateLimiter>,
        Limit<Inner, QuotaShare>,
    );
    send_sync::<Layers>();
    unpin::<Layers>();
    cloned::<Layers>();
    send_sync::<Services>();
    unpin::<Services>();
    cloned::<Services>();
    send_sync::<Timed<Call>>();
    send_sync::<Limited<Call, ()>>();
    send_sync::<Retried<Inner, AnyError, ()>>();
}
