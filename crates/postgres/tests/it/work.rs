//! The store of work in a database: the suite of all stores, and what only a database can do.

use std::{sync::Arc, time::Duration};

use outbound::work::{Ambiguous, Answer, Counts, End, Held, Lease, Pushed, Work, WorkError, WorkStore};
use outbound_postgres::PostgresWork;

use crate::{
    database::{Schema, address},
    suite::{self, Tested},
};

/// A store with the schema it is in.
#[derive(Debug, Clone)]
struct Store {
    work: PostgresWork,
    schema: Arc<Schema>,
}

async fn store(address: &str) -> Store {
    let schema = Arc::new(Schema::new(address));
    Store { work: schema.builder().open().await.expect("opens"), schema }
}

impl WorkStore for Store {
    async fn push(&self, work: Vec<Work>) -> Result<Vec<Pushed>, WorkError> {
        self.work.push(work).await
    }
    async fn claim(&self, most: usize, ttl: Duration, ambiguous: Ambiguous) -> Result<Vec<Lease>, WorkError> {
        self.work.claim(most, ttl, ambiguous).await
    }
    async fn sent(&self, leases: &[&Lease]) -> Result<Held, WorkError> {
        self.work.sent(leases).await
    }
    async fn renew(&self, leases: &[&Lease], ttl: Duration) -> Result<Held, WorkError> {
        self.work.renew(leases, ttl).await
    }
    async fn finish(&self, ends: &[(&Lease, End)]) -> Result<Held, WorkError> {
        self.work.finish(ends).await
    }
    async fn release(&self, leases: &[&Lease], sent: bool) -> Result<Held, WorkError> {
        self.work.release(leases, sent).await
    }
    async fn rescue(&self) -> Result<usize, WorkError> {
        self.work.rescue().await
    }
    async fn retry_failed(&self) -> Result<usize, WorkError> {
        self.work.retry_failed().await
    }
    async fn answers(&self, after: Option<u64>, most: usize) -> Result<Vec<Answer>, WorkError> {
        self.work.answers(after, most).await
    }
    async fn exported(&self, ids: &[Arc<str>]) -> Result<(), WorkError> {
        self.work.exported(ids).await
    }
    async fn counts(&self) -> Result<Counts, WorkError> {
        self.work.counts().await
    }
    async fn wait(&self) {
        self.work.wait().await;
    }
}

impl Tested for Store {
    const MOMENT: Duration = Duration::from_millis(10);
    const KEEPS_PAYLOADS: bool = true;

    fn margin(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn looks(&self) -> Duration {
        Duration::from_millis(1_100)
    }

    async fn advance(&self, by: Duration) {
        self.schema.shift(by).await;
    }
}

#[tokio::test]
async fn a_database_conforms() {
    let Some(address) = address() else { return };
    suite::conforms(async || store(&address).await).await;
}

#[tokio::test]
async fn a_database_claims_in_order() {
    let Some(address) = address() else { return };
    suite::orders(async || store(&address).await).await;
}

#[tokio::test]
async fn a_database_waits() {
    let Some(address) = address() else { return };
    suite::waits(async || store(&address).await).await;
}
