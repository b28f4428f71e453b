//! Real processes that share a quota, some of them killed: this test starts itself again as a holder.
//!
//! It is included by the tests of each store that processes can share.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use outbound::quota_store::{Exchange, QuotaStore, Rule, Scope};
use tokio::time::{Instant, sleep};

/// Where the store is, for a process that was started as a holder.
const PLACE: &str = "OUTBOUND_TEST_QUOTA_HOLDER";
/// Its number.
const HOLDER: &str = "OUTBOUND_TEST_QUOTA_NUMBER";

const PROCESSES: u64 = 8;
const RATE: u64 = 20_000;
const BURST: u64 = 4_000;
const RUNS: Duration = Duration::from_secs(3);

fn scope() -> Scope {
    Scope::new("shared").rule(Rule::rate(RATE, Duration::from_secs(1)).burst(BURST))
}

/// Whether this process is a holder, of what store.
pub(crate) fn place() -> Option<String> {
    std::env::var(PLACE).ok()
}

/// Spends as fast as it is granted, and says so, until it is killed.
pub(crate) async fn hold(store: impl QuotaStore) {
    let number: u64 = std::env::var(HOLDER).ok().and_then(|number| number.parse().ok()).expect("a number");
    let (scope, mut used) = (scope(), 0);
    // A parent that died does not stop it.
    let end = Instant::now() + RUNS * 10;
    for seq in 1.. {
        let ask = Exchange::new(number, seq).wanted([BURST]).least([1]).used([used]);
        let grant = store.exchange(&scope, ask).await.expect("works");
        used = grant.granted[0];
        // Written at once: what is spent is known though it is killed next.
        println!("spent {used}");
        if Instant::now() > end {
            return;
        }
        if used == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Starts holders of a store, kills some of them at random moments and the rest at the end, and adds up what was spent.
///
/// `test` is the name of the test that calls [`hold`].
pub(crate) async fn share(test: &str, place: &str) {
    let start = |number: u64| {
        let mut child = Command::new(std::env::current_exe().expect("a name"))
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(PLACE, place)
            .env(HOLDER, number.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let output = child.stdout.take().expect("is piped");
        let reader = std::thread::spawn(move || {
            let mut spent = Vec::new();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                spent.extend(line.rsplit_once("spent ").and_then(|(_, spent)| spent.parse::<u64>().ok()));
            }
            spent
        });
        (child, reader)
    };
    let begun = Instant::now();
    let mut all: Vec<_> = (1..=PROCESSES).map(start).collect();
    let mut readers = Vec::new();
    let mut number = PROCESSES;
    // An odd number of milliseconds, so that it meets each moment of an exchange.
    while begun.elapsed() < RUNS {
        sleep(Duration::from_millis(97)).await;
        number += 1;
        let (child, reader) = std::mem::replace(&mut all[(number * 5 % PROCESSES) as usize], start(number));
        end(child);
        readers.push(reader);
    }
    // Nothing is spent after that.
    for (child, reader) in all {
        end(child);
        readers.push(reader);
    }
    let took = begun.elapsed();
    let reports: Vec<_> = readers.into_iter().map(|reader| reader.join().expect("reads")).collect();
    let spent: u64 = reports.iter().flatten().sum();
    let exchanges: usize = reports.iter().map(Vec::len).sum();
    let most = BURST as f64 + RATE as f64 * took.as_secs_f64();
    println!("{} processes, {exchanges} exchanges, {spent} spent of at most {most:.0}", reports.len());
    assert!(spent as f64 <= most, "{spent} of {most}");
    assert!(spent >= BURST, "{spent} are too few to show anything");
    assert!(reports.iter().filter(|report| report.iter().any(|spent| *spent > 0)).count() >= 4);
}

/// With SIGKILL, where there are signals.
fn end(mut child: Child) {
    child.kill().expect("is killed");
    child.wait().expect("has ended");
}
