//! One connection, made again when it breaks, with statements that are asked again until they are answered.

use std::{collections::HashMap, sync::Arc};

use outbound::{
    retry::{Retry, Wait},
    timeout::timeout,
};
use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio_postgres::{Client, Row, Statement, types::ToSql};

use crate::{
    database::Database,
    error::{Error, Kind},
};

/// What stands for a value in a statement.
pub(crate) type Value<'a> = &'a (dyn ToSql + Sync);

/// A connection with its prepared statements. Calls on it are sent one behind the other, and none waits for another's reply.
pub(crate) struct Lane {
    database: Database,
    /// What is prepared on each new connection. Nothing else is asked.
    queries: &'static [&'static str],
    session: Mutex<Option<Arc<Session>>>,
}

struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

/// The rows, and whether an earlier attempt may have been done, too.
pub(crate) struct Answered {
    pub(crate) rows: Vec<Row>,
    pub(crate) again: bool,
}

impl Lane {
    pub(crate) fn new(database: Database, queries: &'static [&'static str]) -> Self {
        Self { database, queries, session: Mutex::new(None) }
    }

    /// Asks until there is an answer, a refusal that stays, or no more patience.
    pub(crate) async fn ask(&self, query: &'static str, values: &[Value<'_>]) -> Result<Answered, Error> {
        let wait = Wait::exponential(Duration::from_millis(50)).max(Duration::from_secs(2)).full_jitter();
        let policy = Retry::forever().until(Instant::now().checked_add(self.database.patience)).wait(wait);
        let mut attempts = policy.start();
        let mut again = false;
        loop {
            match self.ask_once(query, values).await {
                Ok(rows) => return Ok(Answered { rows, again }),
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, "asked the database in vain");
                    again = true;
                    attempts.failed(error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn ask_once(&self, query: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        let limit = self.database.limit;
        let session = timeout(limit, self.session()).await.map_err(|_| Error::new(Kind::Silent(limit)))??;
        let rows = match timeout(limit, session.client.query(&session.statements[query], values)).await {
            Ok(rows) => rows.map_err(Error::from),
            Err(_) => Err(Error::new(Kind::Silent(limit))),
        };
        if rows.as_ref().is_err_and(Error::breaks_connection) {
            let mut current = self.session.lock().await;
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &session)) {
                *current = None;
            }
        }
        rows
    }

    /// The connection that is there, or a new one. Many who ask at once get one.
    async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut current = self.session.lock().await;
        if let Some(session) = current.as_ref().filter(|session| !session.client.is_closed()) {
            return Ok(session.clone());
        }
        let client = self.database.connect().await?;
        let prepared = self.queries.iter().map(|query| client.prepare(query));
        let statements = futures::future::try_join_all(prepared).await?;
        let statements = self.queries.iter().copied().zip(statements).collect();
        let session = Arc::new(Session { client, statements });
        *current = Some(session.clone());
        Ok(session)
    }
}

/// A duration as the database has it, in microseconds. What is longer than a century is as long as that.
pub(crate) fn micros(duration: Duration) -> i64 {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
    i64::try_from(duration.min(LONGEST).as_micros()).unwrap_or(i64::MAX)
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("database", &self.database).finish_non_exhaustive()
    }
}
