//! Jobs a second: claimed, said to be sent, finished; by several holders at once, with the database beside them.
//!
//! ```sh
//! OUTBOUND_TEST_POSTGRES=postgres://postgres@127.0.0.1/test cargo bench -p outbound-postgres --bench jobs
//! ```
//!
//! `-- --held` opens a transaction before and keeps it open: no row that was written anew since can be cleaned up. `-- --early`
//! lets the holders begin while the batch is empty, and wait: pushing and working then go on at the same time. `-- --jobs N` sets how
//! many jobs there are (20,000).

use std::time::Duration;

use bytes::Bytes;
use outbound::work::{Ambiguous, Work, WorkStore};
use outbound_postgres::PostgresWork;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_postgres::NoTls;

const HOLDERS: usize = 4;
const AT_ONCE: usize = 100;
const TTL: Duration = Duration::from_secs(60);

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result {
    let Ok(address) = std::env::var("OUTBOUND_TEST_POSTGRES") else {
        println!("skipped: OUTBOUND_TEST_POSTGRES names no database");
        return Ok(());
    };
    let arguments: Vec<String> = std::env::args().collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let (held, early) = (has("--held"), has("--early"));
    let jobs = arguments.iter().position(|argument| argument == "--jobs");
    let jobs: u32 = jobs.and_then(|at| arguments.get(at + 1)).map_or(Ok(20_000), |jobs| jobs.parse())?;
    let schema = format!("outbound_bench_{}", std::process::id());
    let (admin, connection) = tokio_postgres::connect(&address, NoTls).await?;
    tokio::spawn(connection);
    let result = measure(&address, &schema, jobs, held, early).await;
    admin.batch_execute(&format!("drop schema if exists {schema} cascade")).await?;
    result
}

async fn measure(address: &str, schema: &str, jobs: u32, held: bool, early: bool) -> Result {
    let builder = PostgresWork::builder(address).schema(schema);
    let store = builder.clone().open().await?;
    let mut holders = JoinSet::new();
    if early {
        for _ in 0..HOLDERS {
            holders.spawn(work(builder.clone().open().await?, Some(jobs)));
        }
        // Statements that were planned on empty tables.
        sleep(Duration::from_secs(15)).await;
    }
    let first_push = Instant::now();
    for first in (0..jobs).step_by(1_000) {
        let some = first..jobs.min(first + 1_000);
        store.push(some.map(|id| Work::new(id.to_string(), vec![b'x'; 500])).collect()).await?;
    }
    println!("pushed: {:.0} jobs/s", f64::from(jobs) / first_push.elapsed().as_secs_f64());
    let (holder, connection) = tokio_postgres::connect(address, NoTls).await?;
    tokio::spawn(connection);
    if held {
        holder.batch_execute("begin isolation level repeatable read; select count(*) from pg_class").await?;
    }
    let began = if early { first_push } else { Instant::now() };
    while holders.len() < HOLDERS {
        holders.spawn(work(builder.clone().open().await?, None));
    }
    let mut done = 0;
    while let Some(one) = holders.join_next().await {
        done += one??;
    }
    println!(
        "claimed, sent and finished by {HOLDERS} holders, {AT_ONCE} at once{}{}: {:.0} jobs/s",
        if early { ", while they were pushed" } else { "" },
        if held { ", behind a transaction that is held open" } else { "" },
        f64::from(done) / began.elapsed().as_secs_f64()
    );
    assert_eq!((done, store.counts().await?.done), (jobs, jobs as usize));
    Ok(())
}

/// Until nothing is there, or until so many are done.
async fn work(store: PostgresWork, until: Option<u32>) -> Result<u32> {
    let answer = Bytes::from(vec![b'y'; 500]);
    let mut done = 0;
    loop {
        let leases = store.claim(AT_ONCE, TTL, Ambiguous::Leave).await?;
        if leases.is_empty() {
            let Some(jobs) = until else { return Ok(done) };
            if store.counts().await?.done == jobs as usize {
                return Ok(done);
            }
            store.wait().await;
            continue;
        }
        let all: Vec<_> = leases.iter().collect();
        store.sent(&all).await?;
        let answers: Vec<_> = leases.iter().map(|lease| (lease, answer.clone().into())).collect();
        done += u32::try_from(store.finish(&answers).await?.iter().filter(|held| held.is_ok()).count())?;
    }
}
