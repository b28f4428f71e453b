//! What the operator of a batch needs: how healthy its tables are, and how a batch is removed.

use std::time::Duration;

use outbound::work::WorkError;

use super::{PostgresWork, get, sql};
use crate::{database::Database, error::Error};

/// What to watch while a batch runs.
///
/// Each job leaves three dead rows, which the database cleans up while the batch runs. It cannot clean up what a transaction that
/// is still open may see. Claims do not become slow by that at once, but the tables grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Health {
    /// Rows of the table of jobs that are dead and not cleaned up, of all batches, as the database estimates. If it is several
    /// times as large as the number of jobs for minutes, autovacuum does not keep up, or is held back.
    pub dead_rows: u64,
    /// The age of the oldest running transaction of this database that holds back the cleaning: a report, a backup, or a session
    /// that somebody forgot. Zero if there is none, or if this role may not see it (`pg_read_all_stats` may). Minutes are a reason
    /// to look for it in `pg_stat_activity`. Prepared transactions and replication slots hold back, too, and are not counted.
    pub oldest_snapshot: Duration,
}

impl PostgresWork {
    /// How healthy the tables are, as the database's own statistics say. Some of them are up to ten seconds old.
    ///
    /// # Errors
    ///
    /// As those of [`WorkStore`](outbound::work::WorkStore).
    pub async fn health(&self) -> Result<Health, WorkError> {
        let rows = self.shared.claims.ask(sql::HEALTH, &[]).await.map_err(WorkError::new)?.rows;
        let Some(row) = rows.first() else { return Ok(Health::default()) };
        let (dead_rows, oldest): (i64, i64) = (get(row, 0)?, get(row, 1)?);
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Health {
            dead_rows: unsigned(dead_rows),
            oldest_snapshot: Duration::from_micros(unsigned(oldest)),
        })
    }

    /// The number of the last lease in the batch; 0 if there is none. As long as it stays the same, no answer has come.
    ///
    /// # Errors
    ///
    /// As those of [`WorkStore`](outbound::work::WorkStore).
    pub async fn last_lease(&self) -> Result<u64, WorkError> {
        let rows = self.look(sql::LAST_LEASE, &[]).await?.rows;
        let last = rows.first().map_or(Ok(0), |row| get::<i64>(row, 0))?;
        Ok(last.unsigned_abs())
    }

    /// Removes the batch: its work, its answers, exported or not, and its name. Only if all of its work is done, and if its
    /// [last lease](Self::last_lease) is still this one, so that no answer goes that its caller has not seen. Else it changes
    /// nothing, and returns `false`.
    ///
    /// It is one transaction, and takes as long as it takes: about a second for each 100,000 jobs. Who has the batch open meanwhile
    /// can push nothing into it any more: that is an error. Who opens the name again gets a new batch, with another seed.
    ///
    /// # Errors
    ///
    /// The database is away, or refused. It is not asked again. If the connection broke, nobody knows whether the batch is still
    /// there: open it, and look.
    pub async fn remove(self, last_lease: u64) -> Result<bool, WorkError> {
        let (database, batch) = (self.shared.listener.database(), self.shared.batch);
        remove(database, batch, last_lease).await.map_err(WorkError::new)
    }
}

async fn remove(database: &Database, batch: i64, last_lease: u64) -> Result<bool, Error> {
    let mut client = database.connect().await?;
    // A large batch takes longer than any other call.
    client.batch_execute("set statement_timeout to 0").await?;
    let transaction = client.transaction().await?;
    // Until the end, nothing can be pushed or tried again. What was pushed before is seen by the next statement.
    transaction.execute("select from batch where batch = $1 for update", &[&batch]).await?;
    let is_open = "select exists (select from job where batch = $1 and state < 3)";
    if transaction.query_one(is_open, &[&batch]).await?.try_get(0)? {
        return Ok(false);
    }
    let last: i64 = transaction.query_one(sql::LAST_LEASE, &[&batch]).await?.try_get(0)?;
    if last.unsigned_abs() != last_lease {
        return Ok(false);
    }
    for table in ["answer", "job", "body", "batch"] {
        transaction.execute(&format!("delete from {table} where batch = $1"), &[&batch]).await?;
    }
    transaction.commit().await?;
    Ok(true)
}
