//! A run against a server that keeps a bucket of its own, whose size nobody was told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use outbound_limiter::{Cost, Dimension, QuotaLimiter, Reading, Signals};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::support::{ms, s};

const PER_MINUTE: u64 = 600;

/// A bucket of requests, counted in milliseconds of the rate (1 request is 100 ms).
struct Server {
    capacity: i64,
    level: i64,
    at: Instant,
    served: u64,
    refused: u64,
}

impl Server {
    fn request(&mut self) -> (bool, Reading) {
        let elapsed = self.at.elapsed();
        self.at += elapsed;
        self.level = self.capacity.min(self.level + i64::try_from(elapsed.as_millis()).unwrap());
        let granted = self.level >= 100;
        if granted {
            self.level -= 100;
            self.served += 1;
        } else {
            self.refused += 1;
        }
        let reset = Duration::from_millis((self.capacity - self.level).cast_unsigned());
        let remaining = u64::try_from(self.level / 100).unwrap();
        (granted, Reading::per_minute().limit(PER_MINUTE).remaining(remaining).reset(reset))
    }
}

/// Runs a backlog for `time` and says how many were served and refused.
async fn run(capacity: Duration, others_per_second: u64, time: Duration) -> (u64, u64) {
    let start = Instant::now();
    let level = i64::try_from(capacity.as_millis()).unwrap();
    let server = Server { capacity: level, level, at: start, served: 0, refused: 0 };
    let server = Arc::new(Mutex::new(server));
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
    // One reply before the flood: nothing is known before it.
    let mut warm = true;
    for id in 0_u64.. {
        let reservation = tokio::time::timeout_at(start + time, quota.reserve(Cost::request())).await;
        let Ok(reservation) = reservation else { break };
        let (charge, sent_at) = (reservation.unwrap().sent(), Instant::now());
        let (quota, server) = (quota.clone(), Arc::clone(&server));
        let call = async move {
            // There and back take 20 to 90 ms, the answer up to half a second.
            sleep(ms(20 + id * 7 % 70)).await;
            let (granted, reading) = server.lock().unwrap().request();
            let signals = Signals::new(sent_at).reading(Dimension::Requests, reading);
            if granted {
                sleep(ms(id * 37 % 500)).await;
                quota.observe(Instant::now(), &signals);
                charge.settle(Cost::request());
            } else {
                quota.observe(Instant::now(), &signals.refused(Some(ms(1_000))));
            }
        };
        if std::mem::take(&mut warm) { call.await } else { drop(calls.spawn(call)) }
    }
    while calls.join_next().await.is_some() {}
    let server = server.lock().unwrap();
    (server.served, server.refused)
}

/// What an all-knowing client gets: a full bucket and what the rate brings.
fn possible(capacity: Duration, time: Duration) -> u64 {
    u64::try_from((capacity + time).as_millis() / 100).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_servers_bucket_is_used_and_not_overdrawn() {
    for capacity in [s(60), s(10), s(2)] {
        let (served, refused) = run(capacity, 0, s(300)).await;
        let possible = possible(capacity, s(300));
        let line = format!("bucket of {capacity:?}: {served} of {possible} served, {refused} refused");
        println!("{line}");
        assert!(served * 100 >= possible * 97, "{line}");
        assert!(refused * 1_000 <= served * 5, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_shared_with_others_is_shared() {
    for capacity in [s(60), s(10), s(2)] {
        let (served, refused) = run(capacity, 3, s(300)).await;
        let possible = possible(capacity, s(300));
        let line =
            format!("bucket of {capacity:?}, shared: {served} of {possible} served, {refused} refused");
        println!("{line}");
        assert!(served * 100 >= possible * 60, "{line}");
        assert!(refused * 1_000 <= served * 50, "{line}");
    }
}
