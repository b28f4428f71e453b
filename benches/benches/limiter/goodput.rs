//! A batch of 2,000 against a server that counts by the second: how near it comes to what an oracle does, which knows all
//! draws, and how many refusals it takes. There is no HTTP and there are no faults: it is the limiter that is judged.
//!
//! 3,000 requests and 600,000 tokens a minute in buckets of one second; latency log-normal, median 0.8 s; 64 in flight. The
//! server counts a prompt up to 10 % differently. Variants: limits told and headers (A), headers alone (B), whole seconds
//! to wait with a refusal (C), bare refusals (D), limits that are halved and restored (E), three models with a quota each
//! that share the one of the server (S).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use outbound_limiter::{Cost, Observation, QuotaDimension, QuotaLimiter, Reading, Reservation};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::simulation::Random;

const ITEMS: usize = 2_000;
const CAP: usize = 64;
const RATES: [f64; 2] = [50.0, 10_000.0];
const SEEDS: [u64; 3] = [1, 2, 3];
/// What an exact hint is rounded up to.
const MILLISECOND: f64 = 0.001;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charging {
    Estimate,
    Settle,
    Actual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bucket,
    Window,
    Log,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    /// The tokens of the prompt, as the client and as the server counts them.
    prompt: [u64; 2],
    max_tokens: u64,
    generated: u64,
    latency: Duration,
    model: usize,
}

#[derive(Debug, Clone, Copy)]
struct Setting {
    variant: char,
    charging: Charging,
    kind: Kind,
}

/// At least this goodput, with at most so many refusals per 1,000.
const GOALS: [(char, f64, f64); 6] = [
    ('A', 0.97, 1.0),
    ('B', 0.97, 10.0),
    ('C', 0.95, 40.0),
    ('D', 0.95, 40.0),
    ('E', 0.93, 40.0),
    ('S', 0.97, 40.0),
];

/// Prints the table. Whether all goals are reached.
pub(super) fn print() -> bool {
    println!("goodput (of 1) | refusals per 1,000; ! where a goal is missed");
    let mut held = true;
    for kind in [Kind::Bucket, Kind::Window, Kind::Log] {
        for charging in [Charging::Estimate, Charging::Settle, Charging::Actual] {
            print!("{:<20}", format!("{kind:?}, {charging:?}"));
            for (variant, least, most) in GOALS {
                let setting = Setting { variant, charging, kind };
                let runs = SEEDS.map(|seed| goodput(setting, seed));
                let mut goodputs = runs.map(|(goodput, _)| goodput);
                goodputs.sort_by(f64::total_cmp);
                let (median, worst) = (goodputs[1], goodputs[0]);
                let refused = runs.iter().map(|(_, refused)| refused).sum::<f64>() / SEEDS.len() as f64;
                let most = if kind == Kind::Bucket && charging == Charging::Estimate { most } else { 60.0 };
                let kept = median >= least && refused <= most;
                held &= kept;
                let mark = if kept { ' ' } else { '!' };
                print!("  {variant} {median:.3} ({worst:.2}) | {refused:>5.1}{mark}");
            }
            println!();
        }
    }
    held
}

/// The goodput, and the refusals per 1,000.
fn goodput(setting: Setting, seed: u64) -> (f64, f64) {
    let items = Arc::new(items(seed));
    let run = |oracle: bool| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let items = Arc::clone(&items);
        runtime.expect("a runtime").block_on(async move {
            let world = Arc::new(World::new(setting));
            let start = Instant::now();
            if oracle {
                run_oracle(&world, &items).await;
            } else {
                run_limited(&world, &items).await;
            }
            (start.elapsed().as_secs_f64(), world.refused.load(Relaxed))
        })
    };
    let ((best, _), (time, refused)) = (run(true), run(false));
    (best / time, 1_000.0 * refused as f64 / ITEMS as f64)
}

fn items(seed: u64) -> Vec<Item> {
    let mut random = Random::new(seed);
    let item = |_| {
        let prompt = random.log_normal(125.0, 0.5).clamp(60.0, 5_000.0);
        let max_tokens = random.log_normal(150.0, 0.3);
        Item {
            prompt: [prompt as u64, (prompt * (0.9 + 0.2 * random.uniform())) as u64],
            max_tokens: max_tokens as u64,
            generated: (max_tokens * (0.2 + 0.8 * random.uniform())) as u64,
            latency: Duration::from_secs_f64(random.log_normal(0.8, 0.99).min(8.0)),
            model: (random.uniform() * 3.0) as usize % 3,
        }
    };
    (0..ITEMS).map(item).collect()
}

impl Item {
    fn estimate(&self) -> Cost {
        Cost::request().input_tokens(self.prompt[0]).output_tokens(self.max_tokens)
    }

    fn used(&self) -> Cost {
        Cost::request().input_tokens(self.prompt[1]).output_tokens(self.generated)
    }

    fn charged(&self, charging: Charging) -> f64 {
        let output = if charging == Charging::Actual { self.generated } else { self.max_tokens };
        (self.prompt[1] + output) as f64
    }
}

struct World {
    setting: Setting,
    start: Instant,
    counters: Mutex<[Counter; 2]>,
    served: AtomicU64,
    refused: AtomicU64,
}

/// One limit of the server's, with what came in the last second.
struct Counter {
    rate: f64,
    level: f64,
    at: f64,
    log: VecDeque<(f64, f64)>,
}

impl World {
    fn new(setting: Setting) -> Self {
        let counters = RATES.map(|rate| Counter { rate, level: rate, at: 0.0, log: VecDeque::new() });
        let [served, refused] = [0, 0].map(AtomicU64::new);
        Self { setting, start: Instant::now(), counters: Mutex::new(counters), served, refused }
    }

    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Serves a request, or says how long it would have to wait.
    fn request(&self, item: &Item) -> Result<(), f64> {
        let (now, kind) = (self.now(), self.setting.kind);
        let costs = [1.0, item.charged(self.setting.charging)];
        let mut counters = self.counters.lock().unwrap();
        let served = self.served.load(Relaxed) as usize;
        let halved = self.setting.variant == 'E' && (ITEMS * 2 / 5..ITEMS * 3 / 4).contains(&served);
        for (counter, rate) in counters.iter_mut().zip(RATES) {
            counter.bring_to(now, kind);
            counter.rate = if halved { rate / 2.0 } else { rate };
        }
        let waits = counters.iter().zip(costs).map(|(counter, cost)| counter.wait(now, cost, kind));
        let wait = waits.fold(0.0, f64::max);
        if wait > 0.0 {
            self.refused.fetch_add(1, Relaxed);
            return Err((wait / MILLISECOND).ceil() * MILLISECOND);
        }
        counters.iter_mut().zip(costs).for_each(|(counter, cost)| counter.take(now, cost));
        self.served.fetch_add(1, Relaxed);
        Ok(())
    }

    fn settle(&self, item: &Item) {
        if self.setting.charging == Charging::Settle {
            let (now, kind) = (self.now(), self.setting.kind);
            let mut counters = self.counters.lock().unwrap();
            counters[1].bring_to(now, kind);
            counters[1].put_back((item.max_tokens - item.generated) as f64);
        }
    }

    fn observation(&self, sent_at: Instant) -> Observation {
        let observation = Observation::new(sent_at);
        if matches!(self.setting.variant, 'C' | 'D') {
            return observation;
        }
        let (now, kind) = (self.now(), self.setting.kind);
        let mut counters = self.counters.lock().unwrap();
        let dimensions = [QuotaDimension::Requests, QuotaDimension::Tokens];
        dimensions.into_iter().zip(counters.iter_mut()).fold(
            observation,
            |observation, (dimension, counter)| {
                counter.bring_to(now, kind);
                let reading = Reading::per_minute()
                    .limit((counter.rate * 60.0) as u64)
                    .remaining(counter.level.max(0.0) as u64);
                let full = Duration::from_secs_f64((counter.rate - counter.level).max(0.0) / counter.rate);
                observation.reading(dimension, reading.fills_by(full))
            },
        )
    }
}

impl Counter {
    fn bring_to(&mut self, now: f64, kind: Kind) {
        match kind {
            Kind::Bucket => self.level += (now - self.at) * self.rate,
            Kind::Window if now.floor() > self.at.floor() => self.level = self.rate,
            Kind::Window => {}
            Kind::Log => {
                while self.log.front().is_some_and(|(at, _)| at + 1.0 <= now) {
                    self.level += self.log.pop_front().map_or(0.0, |(_, cost)| cost);
                }
            }
        }
        (self.level, self.at) = (self.level.min(self.rate), now);
    }

    fn wait(&self, now: f64, cost: f64, kind: Kind) -> f64 {
        let cost = cost.min(self.rate);
        if self.level + 1e-6 >= cost {
            return 0.0;
        }
        match kind {
            Kind::Bucket => (cost - self.level) / self.rate,
            Kind::Window => now.floor() + 1.0 - now,
            Kind::Log => {
                let mut level = self.level;
                let enough = self.log.iter().find(|(_, gone)| {
                    level += gone;
                    level >= cost
                });
                enough.map_or(1.0, |(at, _)| (at + 1.0 - now).max(MILLISECOND))
            }
        }
    }

    fn take(&mut self, now: f64, cost: f64) {
        self.level -= cost;
        self.log.push_back((now, cost));
        // Only a log forgets them otherwise.
        while self.log.front().is_some_and(|(at, _)| at + 2.0 <= now) {
            self.log.pop_front();
        }
    }

    fn put_back(&mut self, mut units: f64) {
        self.level += units;
        for (_, cost) in &mut self.log {
            let taken = units.min(*cost);
            (*cost, units) = (*cost - taken, units - taken);
        }
    }
}

async fn run_oracle(world: &Arc<World>, items: &[Item]) {
    let slots = Arc::new(Semaphore::new(CAP));
    let mut calls = JoinSet::new();
    for &item in items {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("it is open");
        while let Err(wait) = world.request(&item) {
            sleep(Duration::from_secs_f64(wait)).await;
        }
        let world = Arc::clone(world);
        calls.spawn(async move {
            sleep(item.latency).await;
            world.settle(&item);
            drop(slot);
        });
    }
    calls.join_all().await;
}

async fn run_limited(world: &Arc<World>, items: &[Item]) {
    let told = matches!(world.setting.variant, 'A' | 'E');
    let mut account = QuotaLimiter::builder().max_concurrent(CAP);
    if told {
        account = account.requests_per_minute(3_000).tokens_per_minute(600_000);
    }
    let account = account.build().expect("limits above 0");
    let model = |_| QuotaLimiter::builder().under(&account).build().expect("no limits");
    let quotas: Vec<_> =
        if world.setting.variant == 'S' { (0..3).map(model).collect() } else { vec![account] };
    let mut calls = JoinSet::new();
    for item in items.iter().copied() {
        let (world, quota) = (Arc::clone(world), quotas[item.model % quotas.len()].clone());
        calls.spawn(async move {
            loop {
                let reservation = quota.reserve(item.estimate()).await.expect("possible");
                if call(&world, &quota, reservation, &item).await {
                    break;
                }
            }
        });
    }
    calls.join_all().await;
}

async fn call(world: &World, quota: &QuotaLimiter, reservation: Reservation, item: &Item) -> bool {
    let sent_at = Instant::now();
    let charge = reservation.sent_at(sent_at);
    sleep(Duration::from_millis(1)).await;
    let answer = world.request(item);
    let observation = world.observation(sent_at);
    match answer {
        Ok(()) => {
            sleep(item.latency).await;
            world.settle(item);
            quota.observe(Instant::now(), &observation);
            charge.settle(item.used());
            true
        }
        Err(wait) => {
            sleep(Duration::from_millis(1)).await;
            let hint = match world.setting.variant {
                'D' => None,
                'C' => Some(Duration::from_secs(wait.ceil() as u64)),
                _ => Some(Duration::from_secs_f64(wait)),
            };
            quota.observe(Instant::now(), &observation.refused(hint));
            charge.refund();
            false
        }
    }
}
