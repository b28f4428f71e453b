//! One run of one setting with one seed.

use std::time::Duration;

use outbound_simulator::{Builder, Fault, Latency, Ledger, LimitHeaders, Plan, Refusal, Simulator};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    arguments::Setting,
    client::{self, Told},
    workload,
};

const REQUESTS: u64 = 3_000;
const TOKENS: u64 = 600_000;
const CONCURRENT: usize = 64;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) time: Duration,
    pub(crate) oracle: Duration,
    pub(crate) items: usize,
    /// Attempts of the oracle.
    pub(crate) needed: usize,
    pub(crate) missing: usize,
    pub(crate) wrong: usize,
    pub(crate) ledger: Ledger,
    /// Why something is missing, of the first few.
    pub(crate) errors: Vec<String>,
}

impl Run {
    pub(crate) fn goodput(&self) -> f64 {
        if self.missing + self.wrong > 0 {
            return 0.0;
        }
        self.oracle.as_secs_f64() / self.time.as_secs_f64()
    }

    pub(crate) fn refused_per_thousand(&self) -> f64 {
        self.ledger.refused() as f64 * 1_000.0 / self.items as f64
    }

    /// Admitted calls beyond those that the oracle makes.
    pub(crate) fn extra(&self) -> i64 {
        self.ledger.admitted() as i64 - self.needed as i64
    }

    pub(crate) fn outage_percent(&self) -> f64 {
        self.ledger.sends_in_outages() as f64 * 100.0 / self.items as f64
    }
}

/// What differs between the full size and the smoke.
struct Size {
    items: u32,
    latency: [u64; 3],
    outage: [u64; 2],
    attempt_timeout: u64,
}

const FULL: Size =
    Size { items: 2_000, latency: [800, 8_000, 12_000], outage: [20, 25], attempt_timeout: 10 };
const SMOKE: Size = Size { items: 500, latency: [300, 2_500, 3_500], outage: [4, 6], attempt_timeout: 4 };

pub(crate) fn run(setting: &Setting, seed: u64, prompts: &[Value]) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(on_the_paused_clock(setting, seed, prompts))
}

async fn on_the_paused_clock(setting: &Setting, seed: u64, prompts: &[Value]) -> Run {
    let size = if setting.smoke { SMOKE } else { FULL };
    let models: &[&str] =
        if setting.variant == 'S' { &["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini"] } else { &["gpt-4o-mini"] };
    let bodies = workload::items(prompts, size.items as usize, seed, models, setting.streamed);
    let attempt_timeout = Duration::from_secs(size.attempt_timeout);
    let bytes: Vec<_> = bodies.iter().map(|body| body.to_string().into()).collect();
    let oracle = |builder: Builder| builder.build().oracle(&bytes, CONCURRENT, attempt_timeout);

    let plain = || simulator(setting, seed, &size);
    let mut best = oracle(plain());
    let simulator = if setting.variant == 'E' {
        // The moves are told in parts of a time that depends on them.
        let moving = |time: Duration| {
            plain().scale_limits_at(time.mul_f64(0.4), 0.5).scale_limits_at(time.mul_f64(0.75), 1.0)
        };
        let mut moves = best.time;
        for _ in 0..8 {
            best = oracle(moving(moves));
            moves = best.time;
        }
        best = oracle(moving(moves));
        moving(moves).build()
    } else {
        plain().build()
    };

    let told = Told {
        limits: matches!(setting.variant, 'A' | 'E' | 'N').then_some((REQUESTS, TOKENS)),
        max_concurrent: CONCURRENT,
        attempt_timeout,
        seed,
    };
    let started = Instant::now();
    let outcomes = client::batch(&simulator, told, &bodies).await;
    let time = started.elapsed();
    let hopeless = (setting.hopeless * f64::from(size.items)).round() as usize;
    let mut good = vec![false; bodies.len()];
    let (mut wrong, mut errors) = (0, Vec::new());
    for (item, result) in outcomes {
        match result {
            Ok(text) if text.ends_with(&Plan::mark(item as u64)) && !good[item] => good[item] = true,
            Ok(_) => wrong += 1,
            Err(error) => errors.push(error),
        }
    }
    let missing = (bodies.len() - hopeless).saturating_sub(good.iter().filter(|good| **good).count());
    errors.truncate(3);
    let ledger = simulator.ledger();
    Run {
        time,
        oracle: best.time,
        items: bodies.len(),
        needed: best.attempts,
        missing,
        wrong,
        ledger,
        errors,
    }
}

/// The provider of a variant, moves of the limits left out.
fn simulator(setting: &Setting, seed: u64, size: &Size) -> Builder {
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
