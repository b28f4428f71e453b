//! How late limits fire, and that none is early, beside tokio's: batches of 1,000 limits of 5 to 25 ms, in microseconds.
//!
//! The number of batches is the first argument that is a number, 100 unless given. The latest is the machine's load as
//! much as the timer's doing; early is never allowed.

use std::{future::pending, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

/// On an idle machine: tokio's grain of a millisecond, and one more.
const AIM: Duration = Duration::from_millis(2);

fn main() {
    let batches = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_u64);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut ours, mut tokios) = (Vec::new(), Vec::new());
    // Batch by batch in turn, so that both see the same load.
    for batch in 0..batches {
        ours.extend(runtime.block_on(lateness(batch, async |limit| {
            assert!(outbound_timeout::timeout(limit, pending::<()>()).await.is_err());
        })));
        tokios.extend(runtime.block_on(lateness(batch, async |limit| {
            assert!(tokio::time::timeout(limit, pending::<()>()).await.is_err());
        })));
    }
    for (name, mut late) in [("outbound", ours), ("tokio", tokios)] {
        // How the machine is loaded shows in whole batches; the quiet ones show the timer.
        let quiet = late.chunks(1_000).filter(|batch| batch.iter().all(|late| *late <= AIM)).count();
        late.sort_unstable();
        let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
        println!(
            "{name}: {} limits, 0 early, late by {:?} (median), {:?} (99 %), {:?} (most)",
            late.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
        let word = if at(1.0) <= AIM { "ok" } else { "MISSED aim" };
        println!("{word:<10}  {name}: none later than {AIM:?}: so in {quiet} of {batches} batches");
    }
}

async fn lateness(batch: u64, expire: impl AsyncFn(Duration)) -> Vec<Duration> {
    let expire = &expire;
    let limits = (0..1_000).map(|n| async move {
        let limit = Duration::from_micros(5_000 + (batch * 7_919 + n * 104_729) % 20_000);
        let started = Instant::now();
        expire(limit).await;
        started.elapsed().checked_sub(limit).expect("not early")
    });
    limits.collect::<FuturesUnordered<_>>().collect().await
}
