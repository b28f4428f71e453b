//! A store of work in memory.

use std::{sync::Arc, time::Duration};

use super::{
    Ambiguous, Answer, Counts, End, Held, Lease, Pushed, Work, WorkError, WorkStore, engine::Engine,
};

/// A [`WorkStore`] in memory. It ends with the process. Clones are the same store.
///
/// Work that was answered loses its payload, so [`Changed`](super::Pushed::Changed) is not found for it: it is
/// [`Done`](super::Pushed::Done). Work that failed keeps its payload.
#[derive(Debug, Clone, Default)]
pub struct MemoryWork(Engine);

impl MemoryWork {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl WorkStore for MemoryWork {
    async fn push(&self, work: Vec<Work>) -> Result<Vec<Pushed>, WorkError> {
        self.0.push(work).await
    }

    async fn claim(&self, most: usize, ttl: Duration, ambiguous: Ambiguous) -> Result<Vec<Lease>, WorkError> {
        self.0.claim(most, ttl, ambiguous).await
    }

    async fn sent(&self, leases: &[&Lease]) -> Result<Held, WorkError> {
        self.0.sent(leases).await
    }

    async fn renew(&self, leases: &[&Lease], ttl: Duration) -> Result<Held, WorkError> {
        self.0.renew(leases, ttl).await
    }

    async fn finish(&self, ends: &[(&Lease, End)]) -> Result<Held, WorkError> {
        self.0.finish(ends).await
    }

    async fn release(&self, leases: &[&Lease], sent: bool) -> Result<Held, WorkError> {
        self.0.release(leases, sent).await
    }

    async fn rescue(&self) -> Result<usize, WorkError> {
        self.0.rescue().await
    }

    async fn retry_failed(&self) -> Result<usize, WorkError> {
        self.0.retry_failed().await
    }

    async fn answers(&self, after: Option<u64>, most: usize) -> Result<Vec<Answer>, WorkError> {
        self.0.answers(after, most).await
    }

    async fn exported(&self, ids: &[Arc<str>]) -> Result<(), WorkError> {
        self.0.exported(ids).await
    }

    async fn counts(&self) -> Result<Counts, WorkError> {
        Ok(self.0.counts().await)
    }

    async fn wait(&self) {
        self.0.wait().await;
    }
}
