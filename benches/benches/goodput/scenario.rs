//! The workload and the provider of each variant.

use std::time::Duration;

use outbound_simulator::{Builder, Fault, Latency, LimitHeaders, Plan, Refusal, Simulator};
use serde_json::Value;

use super::{arguments::Setting, workload};

pub(crate) const REQUESTS: u64 = 3_000;
pub(crate) const TOKENS: u64 = 600_000;
pub(crate) const CONCURRENT: usize = 64;

/// What differs between the full size and the smoke.
pub(crate) struct Size {
    pub(crate) items: u32,
    pub(crate) latency: [u64; 3],
    pub(crate) outage: [u64; 2],
    pub(crate) attempt_timeout: u64,
}

const FULL: Size =
    Size { items: 2_000, latency: [800, 8_000, 12_000], outage: [20, 25], attempt_timeout: 10 };
const SMOKE: Size = Size { items: 500, latency: [300, 2_500, 3_500], outage: [4, 6], attempt_timeout: 4 };

impl Size {
    pub(crate) fn of(setting: &Setting) -> Self {
        if setting.smoke { SMOKE } else { FULL }
    }

    pub(crate) fn attempt_timeout(&self) -> Duration {
        Duration::from_secs(self.attempt_timeout)
    }
}

/// Requests and tokens a minute, if the client is told.
pub(crate) fn told(setting: &Setting) -> Option<(u64, u64)> {
    matches!(setting.variant, 'A' | 'E' | 'N').then_some((REQUESTS, TOKENS))
}

pub(crate) fn bodies(setting: &Setting, seed: u64, prompts: &[Value]) -> Vec<Value> {
    let models: &[&str] =
        if setting.variant == 'S' { &["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini"] } else { &["gpt-4o-mini"] };
    workload::items(prompts, Size::of(setting).items as usize, seed, models, setting.streamed)
}

/// The provider of a variant, moves of the limits left out.
pub(crate) fn simulator(setting: &Setting, seed: u64, size: &Size) -> Builder {
    let [median, p99, max] = size.latency.map(Duration::from_millis);
    let mut plan = Plan::new(seed, size.items).latency(Latency::log_normal(median, p99).max(max));
    if setting.hopeless > 0.0 {
        plan = plan.refuse_for_good(Refusal::status(400), setting.hopeless);
    }
    // Half of a plain answer; of a stream, its first tokens.
    let after = 8;
    if setting.variant != 'N' {
        plan = plan
            .fault(Refusal::status(500), 0.01)
            .fault(Refusal::status(503).retry_after(Duration::from_secs(1)), 0.005)
            .fault(Fault::ResetBeforeHeaders, 0.003)
            .fault(Fault::ResetAfterHeaders { after }, 0.002)
            .fault(Fault::Silence, 0.002)
            .fault(Fault::CutShort { after }, 0.002)
            .fault(Fault::Stall { after }, 0.001)
            .fault(Fault::Truncate { after }, 0.001);
    }
    let mut builder = Simulator::builder()
        .seed(seed)
        .requests_per_minute(REQUESTS)
        .tokens_per_minute(TOKENS)
        .burst(Duration::from_secs(1))
        .window(setting.window)
        .charging(setting.charging)
        .token_spread(0.1)
        .bill_only_seen()
        .limit_headers(match setting.variant {
            'C' => LimitHeaders::RetryAfter,
            'D' => LimitHeaders::None,
            'H' => LimitHeaders::ExactWait,
            _ => LimitHeaders::All,
        })
        .plan(plan);
    if setting.variant != 'N' {
        let [from, to] = size.outage.map(Duration::from_secs);
        builder = builder.outage(from..to);
    }
    if !setting.kind {
        // As a provider over sockets is: without these the told client is in step with the server's bucket, and today's
        // code was refused a third as often as by a server over loopback.
        builder = builder
            .dial_time(Duration::from_millis(5))
            .way_in(Latency::log_normal(Duration::from_millis(1), Duration::from_millis(5)))
            .headers_at_admission();
    }
    if setting.count_refused { builder.charge_refused() } else { builder }
}
