//! The batch in its database. A database that is away is waited for, and that is said once.

use std::{
    error::Error,
    fmt::Write,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use outbound_postgres::{Builder, PostgresBatch, PostgresQuota, PostgresWork};
use tokio::time::{Instant, sleep};

use super::machine;
use crate::{exit::Stop, say};

/// How long a database that is away is waited for. Answers that came wait in memory meanwhile.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);

/// The same for a command that only looks.
const SHORT_PATIENCE: Duration = Duration::from_secs(20);

/// How long a run waits for the database at its beginning: it may start together with it. The address may as well be wrong.
const AT_THE_BEGINNING: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);

/// After this time without an answer of the database that is said.
const AWAY: Duration = Duration::from_secs(10);

fn builder(address: &str, name: &str) -> Builder {
    PostgresWork::builder(address).name(name).holder(&machine::holder())
}

/// What a run needs of its database.
pub(super) struct Stores {
    pub(super) work: PostgresWork,
    pub(super) batch: PostgresBatch,
    /// The limits of a key are shared by all batches in the database.
    pub(super) quota: PostgresQuota,
}

/// The batch of this name. It is made if it is not there.
pub(super) async fn open(address: &str, name: &str) -> Result<Stores, Stop> {
    let began = Instant::now();
    let mut is_said = false;
    loop {
        match try_to_open(address, name).await {
            Ok(Some(stores)) => return Ok(stores),
            // Somebody removed it in between.
            Ok(None) => return Err(none(name)),
            Err(error) if error.is_transient() && began.elapsed() < AT_THE_BEGINNING => {
                if !std::mem::replace(&mut is_said, true) {
                    let (why, seconds) = (in_words(&error), AT_THE_BEGINNING.as_secs());
                    say::line(format_args!("--store: {why}; it is tried for {seconds} s"));
                }
                sleep(AGAIN).await;
            }
            Err(error) => return Err(unusable(&error)),
        }
    }
}

async fn try_to_open(address: &str, name: &str) -> Result<Option<Stores>, outbound_postgres::Error> {
    let builder = builder(address, name).patience(PATIENCE);
    let work = builder.clone().open().await?;
    let Some(batch) = builder.clone().open_batch().await? else { return Ok(None) };
    let quota = builder.open_quota().await?;
    Ok(Some(Stores { work, batch, quota }))
}

/// The batch of this name, for a command that only looks. It is not made.
///
/// # Errors
///
/// The database cannot be used, or has no such batch.
pub(super) async fn look(address: &str, name: &str) -> Result<(PostgresWork, PostgresBatch), Stop> {
    let builder = builder(address, name).patience(SHORT_PATIENCE);
    let batch = builder.clone().open_batch().await.map_err(|error| unusable(&error))?;
    let batch = batch.ok_or_else(|| none(name))?;
    let work = builder.open().await.map_err(|error| unusable(&error))?;
    Ok((work, batch))
}

fn none(name: &str) -> Stop {
    Stop::Input(format!("the database has no batch {name:?}: `outbound run` with this --name makes it"))
}

fn unusable(error: &(dyn Error + 'static)) -> Stop {
    Stop::Usage(format!("--store: {}", in_words(error)))
}

/// A call of a run, or of a command that looks, has failed.
pub(super) fn failed(error: &(dyn Error + 'static)) -> Stop {
    Stop::Output(format!("--store: {}", in_words(error)))
}

/// The message of an error and of its causes. None has the address in it.
fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(words, ": {error}");
        cause = error.source();
    }
    words
}

/// Whether the database answers. Says when it does not for long, and when it does again.
#[derive(Debug, Default)]
pub(super) struct Reach {
    is_away: AtomicBool,
}

impl Reach {
    /// Waits for a call, however long it takes.
    pub(super) async fn during<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut call = pin!(call);
        let answered = tokio::select! {
            biased;
            answered = &mut call => answered,
            () = sleep(AWAY) => {
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    say::line("the database has not answered for 10 s: answers wait until it is back, and nothing new is sent");
                }
                call.await
            }
        };
        if answered.is_ok() && self.is_away.swap(false, Ordering::Relaxed) {
            say::line("the database is back");
        }
        answered
    }
}
