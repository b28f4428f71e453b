//! A provider inside this process, over real HTTP on loopback.

use std::{fmt, io, net::SocketAddr, time::Duration};

use outbound_simulator::{Builder, Fault, Latency, Ledger, Refusal, Simulator};

/// How long a demonstration's requests would take if nothing but the limits held them back.
const AIM: Duration = Duration::from_secs(10);

/// What the simulated provider grants, scaled to a job so that the demonstration is short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) requests_per_minute: u64,
    pub(crate) tokens_per_minute: u64,
    pub(crate) attempt_timeout: Duration,
    pub(crate) first_item_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

impl Plan {
    pub(crate) fn for_job(requests: u64, tokens: u64) -> Self {
        let per_minute = |amount: u64| amount.saturating_mul(60) / AIM.as_secs();
        Self {
            requests_per_minute: per_minute(requests).max(600),
            // Half as much again: room for estimates that differ, so that requests are what is scarce.
            tokens_per_minute: (per_minute(tokens) / 2).saturating_mul(3).max(600_000),
            attempt_timeout: Duration::from_secs(3),
            first_item_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests and {} tokens a minute; an attempt may take {:?}, a first item {:?}, a pause {:?}; faults on",
            self.requests_per_minute,
            self.tokens_per_minute,
            self.attempt_timeout,
            self.first_item_timeout,
            self.idle_timeout
        )
    }
}

/// A provider of these limits that answers in a tenth of a second or so.
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

/// Its bad days: each hits about one attempt in a hundred or fewer.
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

/// What the provider saw, in a line.
pub(crate) fn seen(ledger: &Ledger) -> String {
    let (sends, answered, refused) = (ledger.sends(), ledger.answered(), ledger.refused());
    let failed = sends - answered - refused;
    let duplicates = ledger.duplicates();
    format!(
        "the provider saw {sends} sends: {answered} answered, {refused} refused for the rate, {failed} failed one way or \
         another; {duplicates} sent again after their answer"
    )
}

/// Serves on loopback; port 0 takes a free one.
pub(crate) async fn serve(simulator: &Simulator, port: u16) -> io::Result<SocketAddr> {
    simulator.listen(("127.0.0.1", port)).await
}
