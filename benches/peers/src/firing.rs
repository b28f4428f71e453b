//! How late timeouts fire, and whether any is early.

use std::{future::pending, time::Duration};

use futures::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::time::Instant;

use crate::{
    case::{Kind, runtime},
    output::{self, Measure, full_or_quick},
    timeout::{Inner, async_io, futures_timer, ours, pingora, tokio, tower},
};

/// In a full run, and in a quick one.
const BATCHES: [u64; 2] = [25, 5];
const LIMITS: u64 = 200;
const GROUP: &str = "timeout/firing";

/// Whether a limit of so long was kept.
type Expire = fn(Duration) -> LocalBoxFuture<'static, bool>;

const CASES: [(&str, Expire); 6] = [
    ("outbound", |limit| ours(limit, pending::<Inner>()).map(|result| result.is_err()).boxed_local()),
    ("tokio", |limit| tokio(limit, pending::<Inner>()).map(|result| result.is_err()).boxed_local()),
    ("pingora fast_timeout", |limit| {
        pingora(limit, pending::<Inner>()).map(|result| result.is_err()).boxed_local()
    }),
    ("tower Timeout", |limit| tower(limit, pending()).map(|result| result.is_err()).boxed_local()),
    ("futures-timer, select", |limit| {
        futures_timer(limit, pending::<Inner>()).map(|result| result.is_err()).boxed_local()
    }),
    ("async-io Timer, or", |limit| {
        async_io(limit, pending::<Inner>()).map(|result| result.is_err()).boxed_local()
    }),
];

/// Prints the table. The cases run by turns, batch by batch.
pub(crate) fn measure() {
    let runtime = runtime();
    let batches = full_or_quick(BATCHES[0], BATCHES[1]);
    let mut late = CASES.map(|_| Vec::new());
    for batch in 0..batches {
        for ((_, expire), late) in CASES.iter().zip(&mut late) {
            late.extend(runtime.block_on(lateness(batch, *expire)));
        }
    }
    let about = format!(
        "{batches} batches of {LIMITS} timeouts of 5 to 25 ms at once: how late they fire, in microseconds."
    );
    println!("### {GROUP}\n\n{about}\n");
    output::about(GROUP, &about);
    println!("| case | early | earliest | median | 99 % | latest |");
    println!("|---|---:|---:|---:|---:|---:|");
    for ((name, _), mut late) in CASES.iter().zip(late) {
        late.sort_by(f64::total_cmp);
        let early = late.iter().filter(|late| **late < 0.0).count();
        let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
        println!(
            "| {name} | {early} of {} | {:.0} | {:.0} | {:.0} | {:.0} |",
            late.len(),
            at(0.0),
            at(0.5),
            at(0.99),
            at(1.0)
        );
        let kind = if *name == "outbound" { Kind::Ours } else { Kind::Peer };
        let note = |measure, value| output::count(GROUP, name, kind, Measure(measure, "us", "lower"), value);
        output::count(GROUP, name, kind, Measure("early", "", "lower"), early as f64);
        for (measure, share) in [("median", 0.5), ("99 %", 0.99), ("latest", 1.0)] {
            note(measure, at(share));
        }
    }
    println!();
}

async fn lateness(batch: u64, expire: Expire) -> Vec<f64> {
    let limits = (0..LIMITS).map(|number| async move {
        let limit = Duration::from_micros(5_000 + (batch * 7_919 + number * 104_729) % 20_000);
        let started = Instant::now();
        assert!(expire(limit).await);
        (started.elapsed().as_nanos() as f64 - limit.as_nanos() as f64) / 1e3
    });
    limits.collect::<FuturesUnordered<_>>().collect().await
}
