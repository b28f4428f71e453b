//! Several managers share the limits of one key through a store of quota.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use futures::future::join_all;
use outbound::{
    Client, Provider, Request, RequestManager, RequestManagerBuilder,
    quota_store::{Exchange, Grant, MemoryQuota, QuotaError, QuotaStore, Scope},
};
use outbound_simulator::{Builder, Fault, Latency, LimitHeaders, Plan, Refusal, Simulator};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stack::{ms, s};

const REQUESTS: u64 = 3_000;
const TOKENS: u64 = 600_000;

/// A store that counts, and that can be away.
#[derive(Clone)]
struct Store {
    quota: MemoryQuota,
    asked: Arc<AtomicU64>,
    away: Arc<AtomicBool>,
    start: Instant,
}

impl Store {
    fn new() -> Self {
        Self { quota: MemoryQuota::new(), asked: Arc::default(), away: Arc::default(), start: Instant::now() }
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl QuotaStore for Store {
    async fn exchange(&self, scope: &Scope, exchange: Exchange) -> Result<Grant, QuotaError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if std::env::var("T").is_ok() {
            println!(
                "{:.3} {:x} {} used {:?} back {:?} want {:?} least {:?} {:?} pause {:?}",
                self.start.elapsed().as_secs_f64(),
                exchange.holder & 0xffff,
                &scope.name[scope.name.len() - 60.min(scope.name.len())..],
                exchange.used,
                exchange.returned,
                exchange.wanted,
                exchange.least,
                exchange.oldest_wait,
                exchange.pause
            );
        }
        // As over a network.
        tokio::time::sleep(ms(2)).await;
        if self.away.load(Ordering::SeqCst) {
            return Err(QuotaError::new("the store is away"));
        }
        let grant = self.quota.exchange(scope, exchange).await;
        if std::env::var("T").is_ok() {
            let g = grant.as_ref().unwrap();
            println!(
                "    {:?} ttl {:?} next {:?} pause {:?} holders {}",
                g.granted, g.ttl, g.next_poll, g.pause, g.holders
            );
        }
        tokio::time::sleep(ms(2)).await;
        grant
    }
}

fn bodies(items: u32, seed: u64) -> Vec<Value> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = move |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % most
    };
    let body = |item: u32| {
        let words = "word ".repeat(20 + draw(160) as usize);
        json!({
            "model": "test",
            "messages": [{"role": "user", "content": format!("{words}{}", Plan::mark(item.into()))}],
            "max_tokens": 100 + draw(200),
        })
    };
    (0..items).map(body).collect()
}

/// The provider of the batch: limits per minute that it enforces by the second, faults and an outage.
fn provider(items: u32, seed: u64, faults: bool) -> Builder {
    let mut plan = Plan::new(seed, items).latency(Latency::log_normal(ms(800), s(8)).max(s(12)));
    let mut builder = Simulator::builder();
    if faults {
        let after = 8;
        plan = plan
            .fault(Refusal::status(500), 0.01)
            .fault(Refusal::status(503).retry_after(s(1)), 0.005)
            .fault(Fault::ResetBeforeHeaders, 0.003)
            .fault(Fault::ResetAfterHeaders { after }, 0.002)
            .fault(Fault::Silence, 0.002)
            .fault(Fault::CutShort { after }, 0.002)
            .fault(Fault::Stall { after }, 0.001)
            .fault(Fault::Truncate { after }, 0.001);
        builder = builder.outage(s(20)..s(25));
    }
    builder
        .seed(seed)
        .requests_per_minute(REQUESTS)
        .tokens_per_minute(TOKENS)
        .burst(s(1))
        .charging(if std::env::var("C").is_ok() {
            outbound_simulator::Charging::Actual
        } else {
            outbound_simulator::Charging::Estimate
        })
        .bill_only_seen()
        .token_spread(0.1)
        .limit_headers(LimitHeaders::All)
        .dial_time(ms(5))
        .way_in(Latency::log_normal(ms(1), ms(5)))
        .headers_at_admission()
        .plan(plan)
}

fn manager(simulator: &Simulator, store: Option<&Store>, seed: u64) -> RequestManagerBuilder {
    let dialled = simulator.clone();
    let client = Client::builder().connector(move |_: &outbound::Origin| {
        let dialled = dialled.clone();
        async move { dialled.dial().await }
    });
    let builder = RequestManager::builder()
        .provider(Provider::openai())
        .base_url("http://provider.test/v1")
        .key("sk-of-nobody")
        .client(client)
        .attempt_timeout(s(10))
        .seed(seed)
        .wall_clock(std::time::SystemTime::UNIX_EPOCH + s(1_767_225_600));
    match store {
        Some(store) => builder.quota_store(store.clone()),
        None => builder,
    }
}

#[derive(Debug)]
struct Ran {
    /// The time of an oracle, divided by the time that it took.
    goodput: f64,
    refused_per_1_000: f64,
    exchanges_per_burst: f64,
    exchanges_per_second: f64,
    failed: usize,
    seconds: f64,
}

/// Runs a batch, split among so many managers.
async fn batch(managers: usize, told: bool, faults: bool, store: Option<Store>, seed: u64) -> Ran {
    let items = 2_000;
    let bodies = bodies(items, seed);
    let bytes: Vec<_> = bodies.iter().map(|body| body.to_string().into()).collect();
    let best = provider(items, seed, faults).build().oracle(&bytes, 64 * managers, s(10));
    let simulator = provider(items, seed, faults).build();
    let began = Instant::now();
    let runs = (0..managers).map(|number| {
        let mut builder = manager(&simulator, store.as_ref(), seed + number as u64);
        if told {
            builder = builder.requests_per_minute(REQUESTS).tokens_per_minute(TOKENS);
        }
        let manager = builder.build().expect("a manager");
        let part: Vec<_> = bodies.iter().skip(number).step_by(managers).map(Request::chat).collect();
        if std::env::var("P").is_ok() && number == 0 {
            let manager = manager.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    tokio::time::sleep(s(2)).await;
                    println!(
                        "{:.1} {manager_s}\n {:?}",
                        began.elapsed().as_secs_f64(),
                        manager.snapshot().endpoints[0].quota,
                        manager_s = manager.snapshot()
                    );
                }
            });
        }
        async move {
            let outcomes: Vec<_> = manager.batch(part).collect().await;
            outcomes.iter().filter(|outcome| outcome.result.is_err()).count()
        }
    });
    let failed = join_all(runs).await.into_iter().sum();
    let seconds = began.elapsed().as_secs_f64();
    let ledger = simulator.ledger();
    if std::env::var("L").is_ok() {
        let mut per = std::collections::BTreeMap::<u64, (usize, usize)>::new();
        for entry in ledger.entries() {
            let e = per.entry(entry.seen.at.as_secs()).or_default();
            if entry.was_admitted() { e.0 += 1 } else { e.1 += 1 }
        }
        println!("{per:?}");
    }
    let asked = store.as_ref().map_or(0, Store::asked) as f64;
    Ran {
        goodput: best.time.as_secs_f64() / seconds,
        refused_per_1_000: ledger.refused() as f64 * 1_000.0 / f64::from(items),
        exchanges_per_burst: asked / seconds * 2.0,
        exchanges_per_second: asked / seconds / managers as f64,
        failed,
        seconds,
    }
}

#[tokio::test(start_paused = true)]
async fn measure() {
    let list = |name: &str, all: &str| -> Vec<usize> {
        let text = std::env::var(name).unwrap_or(all.to_owned());
        text.split(',').map(|part| part.parse().unwrap()).collect()
    };
    for faults in list("FAULTS", "0,1") {
        for managers in list("MANAGERS", "1,4,16") {
            for told in list("TOLD", "0,1") {
                for seed in list("SEED", "3") {
                    let ran = batch(managers, told == 1, faults == 1, Some(Store::new()), seed as u64).await;
                    println!("{managers} told {told} faults {faults}: {ran:.3?}");
                }
            }
        }
    }
}
