//! One run of one setting with one seed.

use std::time::Duration;

use outbound_simulator::{Builder, Ledger, Plan};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    arguments::Setting,
    client::{self, Told},
    scenario::{self, CONCURRENT, Size},
};

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

pub(crate) fn run(setting: &Setting, seed: u64, prompts: &[Value]) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(on_the_paused_clock(setting, seed, prompts))
}

async fn on_the_paused_clock(setting: &Setting, seed: u64, prompts: &[Value]) -> Run {
    let size = Size::of(setting);
    let bodies = scenario::bodies(setting, seed, prompts);
    let attempt_timeout = size.attempt_timeout();
    let bytes: Vec<_> = bodies.iter().map(|body| body.to_string().into()).collect();
    let oracle =
        |builder: Builder| builder.build().oracle(&bytes, CONCURRENT * setting.managers, attempt_timeout);

    let plain = || scenario::simulator(setting, seed, &size);
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
        limits: scenario::told(setting),
        max_concurrent: CONCURRENT,
        attempt_timeout,
        seed,
        managers: setting.managers,
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
