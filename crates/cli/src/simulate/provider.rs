//! The simulated provider of a demonstration, and its faults.

use std::{ops::Range, time::Duration};

use outbound_simulator::{Builder, Fault, Latency, Refusal, Simulator};

/// The seed of a demonstration. With it the provider behaves the same each time.
pub(crate) const SEED: u64 = 1;

/// A provider with these limits, which answers in about a tenth of a second.
pub(crate) fn provider(requests_per_minute: u64, tokens_per_minute: u64, seed: u64) -> Builder {
    Simulator::builder()
        .seed(seed)
        .requests_per_minute(requests_per_minute)
        .tokens_per_minute(tokens_per_minute)
        .burst(Duration::from_secs(2))
        .latency(Latency::log_normal(Duration::from_millis(60), Duration::from_millis(600)))
        .tokens_per_second(2_000.0)
        .output_tokens(8..=120)
}

/// Adds faults. Each hits at most about one attempt in a hundred.
pub(crate) fn with_faults(provider: Builder) -> Builder {
    let soon = Duration::from_millis(400);
    provider
        .fault(Refusal::rate_limited().retry_after_ms(soon), 0.005)
        .fault(Refusal::rate_limited(), 0.003)
        .fault(Refusal::status(500), 0.01)
        .fault(Refusal::status(502), 0.003)
        .fault(Refusal::status(503).retry_after(Duration::from_secs(1)), 0.004)
        .fault(Refusal::status(529), 0.004)
        .fault(Fault::ResetBeforeHeaders, 0.003)
        .fault(Fault::ResetAfterHeaders { after: 2 }, 0.003)
        .fault(Fault::Silence, 0.002)
        .fault(Fault::Truncate { after: 2 }, 0.003)
        .fault(Fault::Stall { after: 2 }, 0.003)
        .fault(Fault::ErrorEvent { after: 1 }, 0.003)
}

/// When the server of a demonstration restarts, counted from its start.
pub(crate) const RESTART: Range<Duration> = Duration::from_secs(4)..Duration::from_millis(5_500);

/// The server restarts behind its load balancer, which replies with 503 to each call until the server is back.
pub(crate) fn with_restart(provider: Builder) -> Builder {
    provider.outage(RESTART)
}
