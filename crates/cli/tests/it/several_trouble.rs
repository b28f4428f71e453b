//! One batch on several machines, of which some die or stand still, and a database that goes away.
#![cfg(unix)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use outbound_simulator::{Latency, Outcome as Billed, Refusal, Simulator};

use crate::{
    several_job::{Job, signal},
    support::{Running, ids, received, said},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_had_taken_is_sent_by_the_other() {
    let Some(job) = Job::new(150, 40).await else { return };
    let lease = ["--lease", "2s"];
    let first = job.start(&lease);
    received(&job.simulator, 12).await;
    let second = job.start(&lease);
    received(&job.simulator, 40).await;
    first.kill();
    let run = second.end();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let answers = job.export("out.jsonl", 0);
    job.all_are_there(&answers, 150);
    let extra = job.sends() - 150;
    assert!(extra <= 4, "{extra} more than one process has in flight");
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_for_longer_than_its_lease_does_no_harm() {
    let Some(job) = Job::new(150, 40).await else { return };
    let lease = ["--lease", "1s"];
    let mut first = job.start(&lease);
    received(&job.simulator, 12).await;
    let second = job.start(&lease);
    received(&job.simulator, 30).await;
    signal(&mut first, "-STOP");
    let second = second.end();
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    signal(&mut first, "-CONT");
    let first = first.end();
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    assert!(said(&first).contains("150 of 150 lines are done"), "{}", said(&first));
    let answers = job.export("out.jsonl", 0);
    job.all_are_there(&answers, 150);
    job.simulator.shutdown().await;
}

/// The number of kills. `OUTBOUND_KILLS=60` makes it a long test.
fn kills() -> usize {
    std::env::var("OUTBOUND_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_killed_at_random_lose_and_double_nothing() {
    let (kills, processes) = (kills(), 4);
    let simulator = Simulator::builder()
        .seed(5)
        .latency(Latency::log_normal(Duration::from_millis(40), Duration::from_millis(200)))
        .fault(Refusal::rate_limited().retry_after_ms(Duration::from_millis(20)), 0.05)
        .fault(Refusal::status(503).retry_after_ms(Duration::from_millis(5)), 0.03);
    let lines = 200 + 150 * kills;
    let Some(job) = Job::with(lines, simulator.build()).await else { return };
    let start = || job.start(&["--lease", "1s", "-q"]);
    let mut running: Vec<_> = (0..processes).map(|_| start()).collect();
    received(&job.simulator, 20).await;
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(700)).await;
        running.remove(kill % processes).kill();
        running.push(start());
    }
    for run in running.into_iter().map(Running::end) {
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    }
    let answers = job.export("out.jsonl", 0);
    let unique: BTreeSet<_> = ids(&answers).into_iter().collect();
    assert_eq!((answers.len(), unique.len()), (lines, lines), "none lost, none doubled");
    let mut sends = BTreeMap::<String, usize>::new();
    for entry in job.simulator.ledger().entries() {
        // A refused request is not billed.
        if !matches!(entry.outcome, Billed::Refused(_) | Billed::OverQuota(_)) {
            *sends.entry(entry.seen.idempotency_key.clone().expect("a key")).or_default() += 1;
        }
    }
    let doubled = sends.values().filter(|sends| **sends > 1).count();
    let flagged = answers.iter().filter(|answer| answer["outbound"]["possible_duplicate"] == true).count();
    assert!(doubled <= flagged, "{doubled} were answered twice, {flagged} say so");
    let extra = sends.values().sum::<usize>() - lines;
    assert!(extra <= kills * 5, "{extra} answered again after {kills} kills of 4 in flight");
    job.simulator.shutdown().await;
}

/// A way to the database that can be closed for a time.
struct Proxy {
    port: u16,
    open: tokio::sync::watch::Sender<bool>,
}

impl Proxy {
    async fn to(upstream: &str) -> Self {
        let host = upstream.rsplit_once('@').map_or(upstream, |(_, host)| host);
        let host = host.split(['/', '?']).next().expect("a host").to_owned();
        let host = if host.contains(':') { host } else { host + ":5432" };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let (open, is_open) = tokio::sync::watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (host, mut is_open) = (host.clone(), is_open.clone());
                tokio::spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let mut server = tokio::net::TcpStream::connect(host).await.expect("the database");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut stream, &mut server) => {}
                        _ = is_open.wait_for(|open| !*open) => {}
                    }
                });
            }
        });
        Self { port, open }
    }

    /// The same address, but through this way.
    fn address(&self, address: &str) -> String {
        let (user, rest) = address.split_once('@').expect("an address with a user");
        let (_, name) = rest.rsplit_once('/').expect("an address with a database");
        format!("{user}@127.0.0.1:{}/{name}", self.port)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_fails_nothing() {
    let Some(mut job) = Job::new(120, 100).await else { return };
    let proxy = Proxy::to(&job.store).await;
    let direct = job.store.clone();
    job.store = proxy.address(&job.store);
    // The leases end while it is away.
    let run = job.start(&["--lease", "3s"]);
    received(&job.simulator, 30).await;
    proxy.open.send_replace(false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sends = job.sends();
    assert!(sends < 60, "{sends} sends: nothing new is sent");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(job.sends(), sends, "nothing is sent that is not recorded");
    proxy.open.send_replace(true);
    let run = run.end();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    for message in ["the database has not answered for 10 s", "the database is back"] {
        assert_eq!(said(&run).matches(message).count(), 1, "{}", said(&run));
    }
    job.store = direct;
    job.all_are_there(&job.export("out.jsonl", 0), 120);
    assert_eq!(job.sends(), 120, "what it had taken it has");
    job.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_a_little_for_a_database_that_is_not_there_yet() {
    let Some(mut job) = Job::new(5, 1).await else { return };
    let proxy = Proxy::to(&job.store).await;
    job.store = proxy.address(&job.store);
    proxy.open.send_replace(false);
    let run = job.start(&[]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.open.send_replace(true);
    let run = run.end();
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert_eq!(said(&run).matches("it is tried for 10 s").count(), 1, "{}", said(&run));
    proxy.open.send_replace(false);
    let run = job.run(&[]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    job.simulator.shutdown().await;
}
