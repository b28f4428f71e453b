//! The auto traits of the public types, and the texts of their errors.

use std::fmt::Debug;

use outbound_limiter::*;

fn all<T: Send + Sync + Unpin + Debug + 'static>() {}
fn pinned<T: Send + Sync + Debug>(_: &T) {}

#[test]
fn handles_and_data_are_send_sync_unpin() {
    all::<Aimd>();
    all::<AutoConcurrency>();
    all::<End>();
    all::<ConcurrencyLimiter>();
    all::<Keyed<String, QuotaLimiter>>();
    all::<OwnedPermit>();
    all::<Permit<'static>>();
    all::<Rate>();
    all::<MustWait>();
    all::<RateLimiter>();
    all::<Bottleneck>();
    all::<BuildError>();
    all::<Charge>();
    all::<Cost>();
    all::<QuotaDimension>();
    all::<DimensionSnapshot>();
    all::<QuotaBuilder>();
    all::<QuotaError>();
    all::<QuotaLimiter>();
    all::<Reading>();
    all::<Reservation>();
    all::<Observation>();
    all::<Snapshot>();
}

#[test]
fn futures_are_send_and_sync() {
    let (permits, rate) = (ConcurrencyLimiter::new(1), RateLimiter::new(Rate::per_second(1)));
    pinned(&permits.acquire());
    pinned(&permits.acquire_owned());
    pinned(&permits.run(|| std::future::ready(())));
    pinned(&rate.acquire(1));
    pinned(&rate.acquire(1).before(tokio::time::Instant::now()));
    let quota = QuotaLimiter::builder().build().unwrap();
    pinned(&quota.reserve(Cost::request()));
}

#[test]
fn errors_say_one_level() {
    assert_eq!(MustWait { until: None }.to_string(), "the rate never allows it");
    let until = Some(tokio::time::Instant::now());
    assert_eq!(
        BuildError::ZeroLimit(QuotaDimension::Requests).to_string(),
        "a limit of 0 requests lets nothing through"
    );
    assert_eq!(BuildError::ZeroConcurrency.to_string(), "a limit of 0 requests at once lets nothing through");
    assert_eq!(QuotaError::Closed.to_string(), "the limiter is closed");
    assert_eq!(MustWait { until }.to_string(), "the rate does not allow it yet");
}
