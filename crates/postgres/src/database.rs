//! How the database is reached.

use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

use crate::error::{Error, Kind};

/// Where the database is, and how long it is waited for.
#[derive(Clone)]
pub(crate) struct Database {
    config: Config,
    pub(crate) schema: String,
    /// How long a call may go on, with all its attempts.
    pub(crate) patience: Duration,
    /// How long one attempt may take.
    pub(crate) limit: Duration,
}

impl Database {
    pub(crate) fn new(
        address: &str,
        schema: &str,
        patience: Duration,
        limit: Duration,
    ) -> Result<Self, Error> {
        let mut config: Config = address.parse().map_err(|error| Error::new(Kind::Address(error)))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let digit_first = schema.starts_with(|c: char| c.is_ascii_digit());
        if schema.is_empty() || schema.len() > 48 || digit_first || !schema.chars().all(plain) {
            return Err(Error::new(Kind::Schema(schema.to_owned())));
        }
        if config.get_application_name().is_none() {
            config.application_name("outbound");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(limit);
        }
        Ok(Self { config, schema: schema.to_owned(), patience, limit })
    }

    /// A new connection. Its task ends with the client.
    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        // The server gives up, too: a call that nobody waits for any more should not hold a lock.
        let limit = self.limit.as_millis();
        client
            .batch_execute(&format!(
                "set search_path to {}; set statement_timeout to {limit}; \
                 set idle_in_transaction_session_timeout to {limit}",
                self.schema
            ))
            .await?;
        Ok(client)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("schema", &self.schema).finish_non_exhaustive()
    }
}
