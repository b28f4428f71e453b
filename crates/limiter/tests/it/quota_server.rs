//! Runs against servers that count in different ways, which the limiter is not told.

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

const PER_MINUTE: u64 = 600;

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A bucket that holds what comes in during this time.
    Bucket(Duration),
    /// A fixed window: it counts each minute anew.
    Fixed,
    /// A sliding log: it counts the last minute at any time.
    Sliding,
}

struct Server {
    kind: Kind,
    start: Instant,
    /// For the bucket: its level in milliseconds of the rate. A request costs 100 ms.
    level: u64,
    at: u64,
    /// For the windows: when the requests of the last minute were served.
    log: VecDeque<u64>,
    served: u64,
    refused: u64,
}

impl Server {
    fn new(kind: Kind) -> Self {
        let level = if let Kind::Bucket(capacity) = kind { capacity.as_millis() as u64 } else { 0 };
        let (start, log) = (Instant::now(), VecDeque::new());
        Self { kind, start, level, at: 0, log, served: 0, refused: 0 }
    }

    fn request(&mut self) -> (bool, Reading) {
        let now = self.start.elapsed().as_millis() as u64;
        let (remaining, reset) = self.left(now);
        let granted = remaining > 0;
        let (remaining, reset) = if granted {
            self.served += 1;
            self.level = self.level.saturating_sub(100);
            self.log.push_back(now);
            self.left(now)
        } else {
            self.refused += 1;
            (remaining, reset)
        };
        let reading = Reading::per_minute().limit(PER_MINUTE).remaining(remaining);
        let ends = matches!(self.kind, Kind::Fixed);
        (granted, if ends { reading.resets_window(ms(reset)) } else { reading.fills_by(ms(reset)) })
    }

    /// What remains, and how long it takes until all of the limit is there again.
    fn left(&mut self, now: u64) -> (u64, u64) {
        match self.kind {
            Kind::Bucket(capacity) => {
                let capacity = capacity.as_millis() as u64;
                self.level = capacity.min(self.level + now - self.at);
                self.at = now;
                (self.level / 100, capacity - self.level)
            }
            Kind::Fixed => {
                self.log.retain(|at| at / 60_000 == now / 60_000);
                (PER_MINUTE - self.log.len() as u64, 60_000 - now % 60_000)
            }
            Kind::Sliding => {
                self.log.retain(|at| at + 60_000 > now);
                (PER_MINUTE - self.log.len() as u64, self.log.back().map_or(0, |at| at + 60_000 - now))
            }
        }
    }
}

/// Sends as fast as the limiter admits for `time`. Gives the numbers of served and refused requests.
async fn run(kind: Kind, others_per_second: u64, time: Duration) -> (u64, u64) {
    let start = Instant::now();
    let server = Arc::new(Mutex::new(Server::new(kind)));
    let quota = QuotaLimiter::builder().max_concurrent(400).build().unwrap();
    if let Some(pause) = 1_000_u64.checked_div(others_per_second) {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            loop {
                sleep(ms(pause)).await;
                let mut server = server.lock().unwrap();
                if server.request().0 {
                    server.served -= 1;
                } else {
                    server.refused -= 1;
                }
            }
        });
    }
    let mut calls = JoinSet::new();
    // One request goes first, because nothing is known before its reply.
    let mut warm = true;
    for id in 0_u64.. {
        let reservation = tokio::time::timeout_at(start + time, quota.reserve(Cost::request())).await;
        let Ok(reservation) = reservation else { break };
        let (charge, sent_at) = (reservation.unwrap().sent(), Instant::now());
        let (quota, server) = (quota.clone(), Arc::clone(&server));
        let call = async move {
            // A request takes 20 to 90 ms to arrive, and the answer takes up to half a second.
            sleep(ms(20 + id * 7 % 70)).await;
            let (granted, reading) = server.lock().unwrap().request();
            let observation = Observation::new(sent_at).reading(QuotaDimension::Requests, reading);
            if granted {
                sleep(ms(id * 37 % 500)).await;
                quota.observe(Instant::now(), &observation);
                charge.settle(Cost::request());
            } else {
                quota.observe(Instant::now(), &observation.refused(Some(ms(1_000))));
            }
        };
        if std::mem::take(&mut warm) { call.await } else { drop(calls.spawn(call)) }
    }
    while calls.join_next().await.is_some() {}
    let server = server.lock().unwrap();
    (server.served, server.refused)
}

/// The most that any client could get in five minutes: what the rate brings, and what is there at the beginning.
fn possible(kind: Kind) -> u64 {
    match kind {
        Kind::Bucket(capacity) => (capacity + s(300)).as_millis() as u64 / 100,
        Kind::Fixed | Kind::Sliding => 5 * PER_MINUTE,
    }
}

/// Checks that at least `percent` of the possible requests are served, with at most this many refusals per 1,000.
async fn assert_run(kind: Kind, others_per_second: u64, percent: u64, refusals: u64) {
    let (served, refused) = run(kind, others_per_second, s(300)).await;
    let possible = possible(kind);
    let line =
        format!("{kind:?}, others {others_per_second}: {served} of {possible} served, {refused} refused");
    println!("{line}");
    assert!(served * 100 >= possible * percent, "{line}");
    assert!(refused * 1_000 <= served * refusals, "{line}");
}

#[tokio::test(start_paused = true)]
async fn the_servers_bucket_is_used_and_not_overdrawn() {
    for capacity in [s(60), s(10), s(2)] {
        assert_run(Kind::Bucket(capacity), 0, 97, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_window_is_used_up_and_not_overdrawn() {
    assert_run(Kind::Fixed, 0, 99, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_sliding_log_works_without_being_told() {
    assert_run(Kind::Sliding, 0, 96, 45).await;
}

#[tokio::test(start_paused = true)]
async fn other_clients_with_the_same_key_keep_their_part() {
    for capacity in [s(60), s(10), s(2)] {
        assert_run(Kind::Bucket(capacity), 3, 69, 20).await;
    }
    assert_run(Kind::Fixed, 3, 69, 20).await;
    assert_run(Kind::Sliding, 3, 69, 45).await;
}
