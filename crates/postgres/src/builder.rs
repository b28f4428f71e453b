//! How a store is opened.

use std::{sync::Arc, time::Duration};

use rustls::ClientConfig;

use crate::{PostgresBatch, PostgresQuota, PostgresWork, database::Database, error::Error};

/// Opens a [`PostgresWork`] or a [`PostgresQuota`].
///
/// | option | default |
/// |---|---|
/// | [`name`](Self::name) | `default` |
/// | [`holder`](Self::holder) | the number of the process |
/// | [`schema`](Self::schema) | `outbound` |
/// | [`patience`](Self::patience) | 5 minutes |
/// | [`attempt_timeout`](Self::attempt_timeout) | 15 s |
/// | [`tls`](Self::tls) | what the platform trusts |
#[derive(Clone)]
#[must_use]
pub struct Builder {
    address: String,
    name: String,
    holder: String,
    schema: String,
    patience: Duration,
    attempt_timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
}

impl Builder {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            name: "default".to_owned(),
            holder: format!("process {}", std::process::id()),
            schema: "outbound".to_owned(),
            patience: Duration::from_secs(300),
            attempt_timeout: Duration::from_secs(15),
            tls: None,
        }
    }

    /// Which batch of work: who opens the same name works on the same batch.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What the database calls this process, for people who look at its tables.
    pub fn holder(mut self, holder: &str) -> Self {
        holder.clone_into(&mut self.holder);
        self
    }

    /// The schema that has the tables.
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// How long a call waits for a database that is away, with all its attempts.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long one attempt of a call may take. Then the connection is given up, and another one tried.
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// How an encrypted connection is made: with roots of one's own, say. It is used where the address has `sslmode=require`.
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Connects, makes the tables where they are missing, and finds the batch, or makes it.
    ///
    /// # Errors
    ///
    /// An [`Error`]: the address or the schema's name is wrong, the database cannot be reached now, or the tables are missing and
    /// the role may not make them. A database that is away is not waited for.
    pub async fn open(self) -> Result<PostgresWork, Error> {
        let database =
            Database::new(&self.address, &self.schema, self.patience, self.attempt_timeout, self.tls)?;
        PostgresWork::open(database, &self.name, self.holder).await
    }

    /// Connects, and finds the batch of this [`name`](Self::name). `None`: there is none. It makes no batch, and no tables where
    /// there are none; older tables are brought up.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_batch(self) -> Result<Option<PostgresBatch>, Error> {
        let database =
            Database::new(&self.address, &self.schema, self.patience, self.attempt_timeout, self.tls)?;
        PostgresBatch::open(database, &self.name, self.holder).await
    }

    /// Connects, and makes the tables where they are missing. `name` and `holder` are of no use here: a quota has the name of its
    /// scope.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_quota(self) -> Result<PostgresQuota, Error> {
        let database =
            Database::new(&self.address, &self.schema, self.patience, self.attempt_timeout, self.tls)?;
        PostgresQuota::open(database).await
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
