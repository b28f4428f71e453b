//! A schema of its own for each test, dropped at the end.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use outbound_postgres::{Builder, PostgresWork};
use tokio_postgres::{Client, NoTls};

/// The database of the tests; `None`, and a word about it, where none is named.
pub(crate) fn address() -> Option<String> {
    let address = std::env::var("OUTBOUND_TEST_POSTGRES").ok();
    if address.is_none() {
        eprintln!("skipped: OUTBOUND_TEST_POSTGRES names no database");
    }
    address
}

/// A schema that is there until this is dropped.
#[derive(Debug)]
pub(crate) struct Schema {
    address: String,
    pub(crate) name: String,
}

impl Schema {
    pub(crate) fn new(address: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { address: address.to_owned(), name: format!("outbound_test_{}_{number}", std::process::id()) }
    }

    pub(crate) fn builder(&self) -> Builder {
        PostgresWork::builder(&self.address).schema(&self.name).patience(Duration::from_secs(20))
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.address, NoTls).await.expect("connects");
        tokio::spawn(connection);
        client.batch_execute(&format!("set search_path to {}", self.name)).await.expect("is set");
        client
    }

    /// Moves the clock of all that is in the schema.
    pub(crate) async fn shift(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("fits");
        let shift = format!(
            "create table if not exists shift (micros bigint); \
             insert into shift values ({micros}); \
             create or replace function outbound_clock() returns timestamptz language sql volatile as \
             'select clock_timestamp() + (select sum(micros)::bigint from {}.shift) * interval ''1 microsecond'''",
            self.name
        );
        self.client().await.batch_execute(&shift).await.expect("is shifted");
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (address, name) = (self.address.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&address, NoTls).await.expect("connects");
                tokio::spawn(connection);
                let _ = client.batch_execute(&format!("drop schema if exists {name} cascade")).await;
            });
        });
        let _ = dropped.join();
    }
}
