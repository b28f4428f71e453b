//! How the database is reached.

use std::{future::poll_fn, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Notification, config::SslMode};

use crate::{
    error::{Error, Kind},
    tls::Tls,
};

/// Where the database is, and how long it is waited for.
#[derive(Clone)]
pub(crate) struct Database {
    config: Config,
    /// Set if the address asks for encryption.
    tls: Option<Tls>,
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
        tls: Option<Arc<ClientConfig>>,
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
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Some(Tls::new(tls).map_err(|error| Error::new(Kind::Tls(error)))?),
            _ => None,
        };
        Ok(Self { config, tls, schema: schema.to_owned(), patience, limit })
    }

    /// A new connection. Its task ends with the client.
    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        self.connect_and_hear(|_| ()).await
    }

    /// A new connection, with what is called for each notification that comes on it.
    pub(crate) async fn connect_and_hear(
        &self,
        heard: impl FnMut(Notification) + Send + 'static,
    ) -> Result<Client, Error> {
        let client = match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                drive(connection, heard);
                client
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                drive(connection, heard);
                client
            }
        };
        // The server gives up, too: a call that nobody waits for any more should not hold a lock. And each row is found by an
        // index: a plan that was made while a table was empty, or had no statistics, reads no whole table when that is full. Where
        // there is no index, the cost of such a plan is so high that it would be compiled first, which takes longer than any of it.
        let limit = self.limit.as_millis();
        client
            .batch_execute(&format!(
                "set search_path to {}; set statement_timeout to {limit}; \
                 set idle_in_transaction_session_timeout to {limit}; \
                 set enable_seqscan to off; set enable_bitmapscan to off; set jit to off",
                self.schema
            ))
            .await?;
        Ok(client)
    }
}

/// Runs a connection in a task of its own.
fn drive<S, T>(mut connection: Connection<S, T>, mut heard: impl FnMut(Notification) + Send + 'static)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notification(notification)) => heard(notification),
                Ok(AsyncMessage::Notice(notice)) => tracing::debug!(%notice, "the database says"),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a connection to the database ended");
                    return;
                }
            }
        }
    });
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("schema", &self.schema).finish_non_exhaustive()
    }
}
