//! Work in a folder.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use outbound_journal::Journal;

use super::{Ambiguous, Answer, Counts, Held, Lease, Pushed, Work, WorkError, WorkStore, engine::Engine};

/// The largest record of a journal that is opened here, in bytes.
const MAX_RECORD: u32 = 64 << 20;

/// A [`WorkStore`] in a folder, on a [`Journal`]. Clones are the same store; one process at a time has it open.
///
/// Calls that come together share one sync of the device. Payloads and answers are read from the folder when they are
/// asked for; memory holds the ids and what is known of each, about 200 bytes. Where more than half of the journal is of no use any more, a call rewrites it, on a blocking thread of
/// tokio's; others wait meanwhile. A disk that is full fails calls, and loses nothing.
///
/// When it is opened, all work that was claimed is taken back: its holders went with their process. Dropping the last
/// clone blocks until what is not durable yet is written, and gives the folder to the next; where a call was dropped
/// while it rewrote the journal, when that has ended.
#[derive(Debug, Clone)]
pub struct FolderWork(Engine);

impl FolderWork {
    /// Opens the store in a folder, which is made if it is not there. It blocks while it reads all.
    ///
    /// Payloads and answers may have 64 MiB less the id.
    ///
    /// # Errors
    ///
    /// What [`JournalBuilder::open`](outbound_journal::JournalBuilder::open) says, and a record that is not one of such
    /// a store.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, WorkError> {
        let journal = Journal::builder().max_record(MAX_RECORD).open(folder).map_err(WorkError::new)?;
        Self::on(journal)
    }

    /// The store in a journal with settings of its own, which is empty or holds such a store.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn on(journal: Journal) -> Result<Self, WorkError> {
        Engine::replay(journal).map(Self)
    }
}

impl WorkStore for FolderWork {
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

    async fn finish(&self, answers: &[(&Lease, Bytes)]) -> Result<Held, WorkError> {
        self.0.finish(answers).await
    }

    async fn release(&self, leases: &[&Lease], sent: bool) -> Result<Held, WorkError> {
        self.0.release(leases, sent).await
    }

    async fn rescue(&self) -> Result<usize, WorkError> {
        self.0.rescue().await
    }

    async fn answers(&self, most: usize) -> Result<Vec<Answer>, WorkError> {
        self.0.answers(most).await
    }

    async fn exported(&self, ids: &[Arc<str>]) -> Result<(), WorkError> {
        self.0.exported(ids).await
    }

    async fn counts(&self) -> Result<Counts, WorkError> {
        Ok(self.0.counts().await)
    }
}
