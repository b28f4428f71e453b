//! A variant of BATCH-2000 in real time over loopback: our manager beside a loop as one writes it by hand, of reqwest,
//! reqwest-retry and governor.
//!
//! `-- goodput` runs the smoke of variant A once; further arguments are those of the goodput bench (`--variant B`,
//! `--seeds 3`), and `--full` is the full size. The provider has a thread and a runtime of its own. The loop is run
//! again, for what is not done, until everything is.

use std::{num::NonZeroU32, sync::mpsc, thread, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use governor::{Quota, RateLimiter};
use outbound_simulator::{Ledger, Plan, Simulator};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use serde_json::Value;
use tokio::time::Instant;

#[path = "../../benches/goodput/arguments.rs"]
mod arguments;
#[path = "../../benches/goodput/scenario.rs"]
mod scenario;
#[path = "../../benches/goodput/workload.rs"]
mod workload;

use crate::{
    case::Kind,
    output::{self, Measure},
};
use arguments::{Arguments, Setting};
use scenario::{CONCURRENT, Size};

pub(crate) fn measure() {
    let mut is_full = false;
    let given = output::arguments().iter().skip(1).filter(|argument| {
        is_full |= *argument == "--full";
        *argument != "--full"
    });
    let given: Vec<String> = given.cloned().collect();
    let variant = (!given.iter().any(|argument| argument == "--variant")).then_some(["--variant", "A"]);
    let seed = (!given.iter().any(|argument| argument.starts_with("--seed"))).then_some(["--seed", "1"]);
    let usual = [variant, seed].into_iter().flatten().flatten().map(str::to_owned);
    let arguments = match Arguments::read(given.into_iter().chain(usual)) {
        Ok(arguments) => arguments,
        Err(message) => return eprintln!("{message}"),
    };
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/prompts.jsonl");
    let file = arguments.prompts.as_deref().unwrap_or(committed);
    let prompts = workload::prompts(Some(file)).expect("prompts");
    println!("goodput in real time: E is the oracle's time divided by that of the run\n");
    println!(
        "{:<10} {:>4} {:<30} {:>6} {:>7} {:>6} {:>7} {:>6} {:>7} {:>6} {:>6}",
        "variant", "seed", "", "E", "T, s", "T_ref", "passes", "429", "outage", "dupl", "conns"
    );
    for setting in &arguments.settings {
        // Late as the sockets make it, and no later.
        let setting = Setting { smoke: !is_full, kind: true, ..*setting };
        for seed in &arguments.seeds {
            for is_ours in [true, false] {
                let name = name_of(is_ours);
                let (best, time, passes, ledger) = run(&setting, *seed, &prompts, is_ours);
                let group = format!("goodput/{}, seed {seed}", setting.variant);
                if is_ours {
                    output::about(&group, ABOUT);
                }
                let kind = if is_ours { Kind::Ours } else { Kind::Peer };
                let note = |name, unit, better, value| {
                    output::count(&group, name_of(is_ours), kind, Measure(name, unit, better), value);
                };
                note("goodput", "", "higher", best.as_secs_f64() / time.as_secs_f64());
                note("time", "s", "lower", time.as_secs_f64());
                note("best possible", "s", "", best.as_secs_f64());
                note("passes", "", "lower", f64::from(passes));
                note("refused", "", "lower", ledger.refused() as f64);
                note("sent in outages", "", "lower", ledger.sends_in_outages() as f64);
                note("bought twice", "", "lower", ledger.answered_again() as f64);
                println!(
                    "{:<10} {seed:>4} {name:<30} {:>6.3} {:>7.2} {:>6.2} {passes:>7} {:>6} {:>7} {:>6} {:>6}",
                    setting.variant,
                    best.as_secs_f64() / time.as_secs_f64(),
                    time.as_secs_f64(),
                    best.as_secs_f64(),
                    ledger.refused(),
                    ledger.sends_in_outages(),
                    ledger.answered_again(),
                    ledger.connections(),
                );
            }
        }
    }
}

const ABOUT: &str = "Chats in real time over loopback, from a provider that limits requests and tokens a minute. \
    Goodput is the best possible time divided by the run's. The loop runs again for what failed, until nothing is left.";

fn name_of(is_ours: bool) -> &'static str {
    if is_ours { "outbound" } else { "reqwest, reqwest-retry, governor" }
}

/// The oracle's time, that of the run, how many passes it took, and what the provider saw.
fn run(setting: &Setting, seed: u64, prompts: &[Value], is_ours: bool) -> (Duration, Duration, u32, Ledger) {
    let size = Size::of(setting);
    let bodies = scenario::bodies(setting, seed, prompts);
    let bytes: Vec<Bytes> = bodies.iter().map(|body| body.to_string().into()).collect();
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let builder = scenario::simulator(setting, seed, &size).headers_at_admission();
    let server = thread::spawn(move || {
        runtime().block_on(async move {
            let simulator = builder.build();
            let address = simulator.listen("127.0.0.1:0").await.expect("a port");
            tell.send((simulator, address)).expect("somebody who waits for it");
            let _ = stopped.await;
        });
    });
    let (simulator, address): (Simulator, _) = told.recv().expect("a provider");
    let best = simulator.oracle(&bytes, CONCURRENT, size.attempt_timeout()).time;
    let base = format!("http://{address}/v1");
    let (time, passes) = runtime().block_on(async {
        let started = Instant::now();
        let mut left: Vec<usize> = (0..bodies.len()).collect();
        let mut passes = 0;
        while !left.is_empty() {
            passes += 1;
            let done = if is_ours {
                ours(setting, seed, &base, &bodies, &left).await
            } else {
                peer(setting, &base, &bytes, &left).await
            };
            left.retain(|item| !done.contains(item));
        }
        (started.elapsed(), passes)
    });
    let ledger = simulator.ledger();
    let _ = stop.send(());
    server.join().expect("no panic of the provider");
    (best, time, passes, ledger)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn ours(setting: &Setting, seed: u64, base: &str, bodies: &[Value], left: &[usize]) -> Vec<usize> {
    let mut manager = outbound::RequestManager::builder()
        .provider(outbound::Provider::openai())
        .base_url(base)
        .key("sk-of-nobody")
        .max_concurrent(CONCURRENT)
        .attempt_timeout(Size::of(setting).attempt_timeout())
        .seed(seed);
    if let Some((requests, tokens)) = scenario::told(setting) {
        manager = manager.requests_per_minute(requests).tokens_per_minute(tokens);
    }
    let manager = manager.build().expect("a manager");
    let requests: Vec<_> = left.iter().map(|item| outbound::Request::chat(&bodies[*item])).collect();
    let outcomes: Vec<_> = manager.batch(requests).collect().await;
    let good = outcomes.into_iter().filter_map(|outcome| {
        let item = left[outcome.index];
        let text = outcome.result.ok()?.content()?;
        text.ends_with(&Plan::mark(item as u64)).then_some(item)
    });
    good.collect()
}

async fn peer(setting: &Setting, base: &str, bodies: &[Bytes], left: &[usize]) -> Vec<usize> {
    let client = reqwest::Client::builder().timeout(Size::of(setting).attempt_timeout()).build();
    let policy = ExponentialBackoff::builder().build_with_max_retries(5);
    let client = reqwest_middleware::ClientBuilder::new(client.expect("a client"))
        .with(RetryTransientMiddleware::new_with_policy(policy))
        .build();
    // Told or not, this loop knows the limits: whoever writes one looks them up.
    let per_second = |limit: u64| NonZeroU32::new((limit / 60) as u32).expect("a limit");
    let requests = RateLimiter::direct(Quota::per_second(per_second(scenario::REQUESTS)));
    let tokens = RateLimiter::direct(Quota::per_second(per_second(scenario::TOKENS)));
    let (client, requests, tokens) = (&client, &requests, &tokens);
    let one = |item: usize| async move {
        let body: Value = serde_json::from_slice(&bodies[item]).ok()?;
        let estimate = bodies[item].len() as u64 / 4 + body["max_tokens"].as_u64().unwrap_or(0);
        requests.until_ready().await;
        tokens.until_n_ready(NonZeroU32::new(estimate as u32)?).await.ok()?;
        let reply = client
            .post(format!("{base}/chat/completions"))
            .header("content-type", "application/json")
            .body(bodies[item].clone())
            .send()
            .await
            .ok()?;
        let answer: Value = serde_json::from_slice(&reply.bytes().await.ok()?).ok()?;
        let text = answer.pointer("/choices/0/message/content")?.as_str()?;
        text.ends_with(&Plan::mark(item as u64)).then_some(item)
    };
    let done = stream::iter(left.iter().copied()).map(one).buffer_unordered(CONCURRENT);
    done.filter_map(|done| async move { done }).collect().await
}
