//! The loop that most programs have around their requests, and its result with a simulated provider.
//!
//! It is the request manager of the tutorials on asynchronous programs: a semaphore limits the calls in flight, each call
//! has a timeout, a call that failed is made again after an exponential backoff with jitter, and all results are
//! gathered. This is what such a manager has in Python, and the same in [`UsualLoop`]:
//!
//! | in Python | here |
//! |---|---|
//! | `httpx.AsyncClient()` | [`Client`], the plain HTTP client: no limits, no retries |
//! | `asyncio.Semaphore(max_concurrent)` | [`Semaphore`] |
//! | `async with semaphore:` | `semaphore.acquire()` |
//! | `asyncio.timeout(seconds)` | [`tokio::time::timeout`] |
//! | `response.raise_for_status()` | `error_for_status()` |
//! | `stop_after_attempt(3)` | [`TRIES`] |
//! | `wait_exponential_jitter(initial=1, jitter=1)` | [`UsualLoop::pause`] |
//! | `asyncio.gather(*calls, return_exceptions=True)` | [`join_all`] |
//!
//! It is better than the usual one in two ways. It tries again after every failure, also after a refusal (429) and a server
//! error (5xx); many loops retry only the exceptions of the HTTP library. And it checks that an answer has a text.
//!
//! The command, an example and the goodput bench all use this file, so that they mean the same loop.

use std::time::Duration;

use futures::future::join_all;
use outbound::client::{Client, Origin};
use outbound_simulator::{Builder, Simulator};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

/// The number of attempts for each call.
const TRIES: u32 = 3;

/// The settings of the loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) max_concurrent: usize,
    /// For each try.
    pub(crate) timeout: Duration,
    pub(crate) seed: u64,
}

/// The usual loop.
#[derive(Debug)]
struct UsualLoop {
    client: Client,
    semaphore: Semaphore,
    settings: Settings,
}

impl UsualLoop {
    /// Makes all calls, and returns all results: a failure does not end the others.
    async fn gather(&self, bodies: &[String]) -> Vec<Result<String, String>> {
        join_all(bodies.iter().enumerate().map(|(index, body)| self.call(index, body))).await
    }

    async fn call(&self, index: usize, body: &str) -> Result<String, String> {
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(body).await {
                Ok(text) => return Ok(text),
                Err(failure) => failure,
            };
            if attempt == TRIES {
                return Err(failure);
            }
            // The semaphore is free during the pause.
            sleep(self.pause(index, attempt)).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, body: &str) -> Result<String, String> {
        let _place = self.semaphore.acquire().await.map_err(|error| error.to_string())?;
        match timeout(self.settings.timeout, self.post(body)).await {
            Ok(Ok(answer)) => {
                let text = answer["choices"][0]["message"]["content"].as_str();
                text.map(str::to_owned).ok_or_else(|| String::from("the answer has no text"))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(elapsed) => Err(elapsed.to_string()),
        }
    }

    async fn post(&self, body: &str) -> Result<Value, outbound::client::Error> {
        let request = self.client.post("/chat/completions").header("content-type", "application/json");
        request.body(body.to_owned()).send().await?.error_for_status().await?.json().await
    }

    /// The wait before the next attempt: 1 s, then 2 s, each with a jitter of up to a second.
    fn pause(&self, index: usize, attempt: u32) -> Duration {
        // SplitMix64, so that a seed gives the same pauses on every machine.
        let mut mixed = (self.settings.seed << 40) ^ (u64::from(attempt) << 32) ^ index as u64;
        mixed = mixed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let jitter = Duration::from_millis((mixed ^ (mixed >> 31)) % 1_000);
        Duration::from_secs(1 << (attempt - 1)) + jitter
    }
}

/// The result of the loop. Some of it the loop cannot know, and is from the ledger of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) took: Duration,
    pub(crate) answered: usize,
    /// Calls of which all attempts failed.
    pub(crate) lost: usize,
    /// Calls that the provider answered with 429.
    pub(crate) refused: usize,
    /// Requests for which the provider billed more than one call.
    pub(crate) paid_twice: usize,
}

/// Runs the loop with a provider of its own. Its clock jumps to the next event, so that minutes pass in a moment, and the
/// same seed gives the same result. The loop is run up to `rounds` times, each time for the calls without an answer.
pub(crate) fn run(
    provider: Builder,
    settings: Settings,
    bodies: &[String],
    rounds: usize,
) -> std::io::Result<Came> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build()?;
    // The simulator's clock is that of the runtime in which it is built.
    Ok(runtime.block_on(async { rounds_of(&provider.build(), settings, bodies, rounds).await }))
}

async fn rounds_of(simulator: &Simulator, settings: Settings, bodies: &[String], rounds: usize) -> Came {
    let started = Instant::now();
    let (mut took, mut left) = (Duration::ZERO, bodies.to_vec());
    for _ in 0..rounds {
        let usual = UsualLoop {
            client: client(simulator),
            semaphore: Semaphore::new(settings.max_concurrent),
            settings,
        };
        let results = usual.gather(&left).await;
        took = started.elapsed();
        let failed = |(body, result): (String, Result<String, String>)| result.is_err().then_some(body);
        left = left.into_iter().zip(results).filter_map(failed).collect();
        if left.is_empty() {
            break;
        }
    }
    let ledger = simulator.ledger();
    Came {
        took,
        answered: bodies.len() - left.len(),
        lost: left.len(),
        refused: ledger.refused(),
        paid_twice: ledger.billed_twice(),
    }
}

/// A client whose connections are in memory: with sockets the clock could not jump.
fn client(simulator: &Simulator) -> Client {
    let dialled = simulator.clone();
    let connector = move |_: &Origin| {
        let dialled = dialled.clone();
        async move { dialled.dial().await }
    };
    let client =
        Client::builder().connector(connector).base_url("http://provider.test/v1").bearer_auth("a-key");
    client.build().expect("nothing of it can be wrong")
}

/// The body without a request for a stream, which the usual loop cannot read. Any other body is unchanged.
pub(crate) fn without_stream(body: &str) -> String {
    match serde_json::from_str(body) {
        Ok(Value::Object(mut members)) if members.contains_key("stream") => {
            members.remove("stream");
            members.remove("stream_options");
            Value::Object(members).to_string()
        }
        _ => body.to_owned(),
    }
}
