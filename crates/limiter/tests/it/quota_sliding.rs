//! Servers that count a sliding log of one second, and servers that keep a bucket of one second.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use outbound_limiter::{Cost, Observation, QuotaDimension, QuotaLimiter, Reading};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::support::{ms, s};

/// Tokens per second.
const RATE: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Log,
    Bucket,
}

/// What happens during the second third of the minute.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    None,
    /// The rate is twice as high until the end.
    Doubles,
    /// Nothing is served, and nothing is counted.
    Outage,
}

struct Server {
    kind: Kind,
    change: Change,
    start: Instant,
    log: VecDeque<(u64, u64)>,
    level: u64,
    at: u64,
    served: u64,
    refused: u64,
    replies: u64,
}

impl Server {
    /// Whether it serves this many tokens now, what remains, and how many milliseconds it takes until there is room.
    fn take(&mut self, tokens: u64) -> (bool, u64, u64) {
        let now = self.start.elapsed().as_millis() as u64;
        let rate = if self.change == Change::Doubles && now >= 20_000 { 2 * RATE } else { RATE };
        self.log.retain(|(at, _)| at + 1_000 > now);
        self.level = rate.min(self.level + (now - self.at) * rate / 1_000);
        self.at = now;
        let used: u64 = self.log.iter().map(|(_, tokens)| tokens).sum();
        let left = if self.kind == Kind::Log { RATE - used } else { self.level };
        self.replies += 1;
        if left < tokens {
            self.refused += 1;
            let mut missing = tokens - left;
            let leaves = self.log.iter().find(|(_, tokens)| {
                missing = missing.saturating_sub(*tokens);
                missing == 0
            });
            let wait = match self.kind {
                Kind::Log => leaves.map_or(1, |(at, _)| at + 1_000 - now),
                Kind::Bucket => missing * 1_000 / rate + 1,
            };
            return (false, left, wait);
        }
        self.log.push_back((now, tokens));
        self.level -= tokens;
        self.served += tokens;
        (true, left - tokens, 0)
    }

    fn is_down(&self) -> bool {
        self.change == Change::Outage && (s(20)..s(30)).contains(&self.start.elapsed())
    }

    /// The most that any client could get in the minute.
    fn possible(&self) -> u64 {
        match self.change {
            Change::None => 60 * RATE,
            Change::Doubles => 100 * RATE,
            Change::Outage => 50 * RATE,
        }
    }
}

/// Sends as fast as the limiter admits for a minute. Gives the served percentage of the rate, and the refusals per 1,000.
async fn run(kind: Kind, tells: bool, change: Change) -> (u64, u64) {
    let start = Instant::now();
    let server = Server {
        kind,
        change,
        start,
        log: VecDeque::new(),
        level: RATE,
        at: 0,
        served: 0,
        refused: 0,
        replies: 0,
    };
    let server = Arc::new(Mutex::new(server));
    let quota = QuotaLimiter::builder().max_concurrent(64).build().unwrap();
    let mut calls = JoinSet::new();
    for id in 0_u64.. {
        let tokens = 100 + id * 7_919 % 500;
        let cost = Cost::request().input_tokens(tokens);
        let reservation = tokio::time::timeout_at(start + s(60), quota.reserve(cost)).await;
        let Ok(reservation) = reservation else { break };
        let (charge, sent_at) = (reservation.unwrap().sent(), Instant::now());
        let (quota, server) = (quota.clone(), Arc::clone(&server));
        calls.spawn(async move {
            sleep(ms(1 + id * 31 % 5)).await;
            if server.lock().unwrap().is_down() {
                return charge.refund();
            }
            // An estimate is off by up to a tenth.
            let (granted, left, wait) = server.lock().unwrap().take(tokens * (90 + id * 13 % 21) / 100);
            let mut observation = Observation::new(sent_at);
            if tells {
                let reading = Reading::per_minute().limit(60 * RATE).remaining(left);
                observation = observation.reading(QuotaDimension::Tokens, reading);
            }
            if granted {
                sleep(ms(300 + id * 37 % 700)).await;
                quota.observe(Instant::now(), &observation);
                charge.keep_estimate();
            } else {
                let wait = if tells { ms(wait) } else { Duration::from_secs(wait.div_ceil(1_000)) };
                quota.observe(Instant::now(), &observation.refused(Some(wait)));
                charge.refund();
            }
        });
    }
    while calls.join_next().await.is_some() {}
    let server = server.lock().unwrap();
    let (percent, refused) =
        (server.served * 100 / server.possible(), server.refused * 1_000 / server.replies);
    (percent, refused)
}

#[tokio::test(start_paused = true)]
async fn a_log_with_readings_is_detected() {
    let (percent, refused) = run(Kind::Log, true, Change::None).await;
    assert!(percent >= 94 && refused <= 60, "{percent} %, {refused} of 1,000 refused");
}

#[tokio::test(start_paused = true)]
async fn a_log_without_readings_is_detected() {
    let (percent, refused) = run(Kind::Log, false, Change::None).await;
    assert!(percent >= 92 && refused <= 30, "{percent} %, {refused} of 1,000 refused");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_not_taken_for_a_log() {
    for tells in [true, false] {
        let (percent, refused) = run(Kind::Bucket, tells, Change::None).await;
        assert!(percent >= 97 && refused <= 35, "{percent} %, {refused} of 1,000 refused");
    }
}

/// A learned rate follows the rate of the server, and requests that were not served in an outage do not count.
#[tokio::test(start_paused = true)]
async fn a_rate_without_readings_is_followed() {
    for (change, least, most) in [(Change::Doubles, 88, 35), (Change::Outage, 96, 65)] {
        let (percent, refused) = run(Kind::Bucket, false, change).await;
        assert!(percent >= least && refused <= most, "{change:?}: {percent} %, {refused} of 1,000 refused");
    }
}
