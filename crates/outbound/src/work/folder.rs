//! A store of work in a folder.

use std::{path::Path, sync::Arc, time::Duration};

use outbound_journal::Journal;

use super::{
    Ambiguous, Answer, Counts, End, Held, Lease, Pushed, Work, WorkError, WorkStore, engine::Engine,
};

/// The largest record of a journal that [`FolderWork::open`] opens, in bytes.
const MAX_RECORD: u32 = 64 << 20;

/// A [`WorkStore`] in a folder, on a [`Journal`]. Clones are the same store. Only one process at a time may have it
/// open.
///
/// Calls at the same time share one sync of the device. Payloads and answers are read from the folder when they are
/// needed. Memory holds only the ids and the state of each item, about 200 bytes. If more than half of the journal is
/// not needed any more, a call rewrites it on a blocking thread of tokio, and other calls wait meanwhile. On a full
/// disk calls fail, and nothing is lost.
///
/// Work that was answered loses its payload, so [`Changed`](super::Pushed::Changed) is not found for it: it is
/// [`Done`](super::Pushed::Done). Work that failed keeps its payload, also when it was exported, so that it can be tried again.
/// Pushing work that is there reads its first payload from the folder, if that is as long as the new one.
///
/// When the store is opened, all claimed work is taken back, because its holders ended with their process. Dropping the
/// last clone blocks until everything is durable. Then the folder can be opened again. If a call was dropped while it
/// rewrote the journal, that is possible only when the rewrite has ended.
#[derive(Debug, Clone)]
pub struct FolderWork(Engine);

impl FolderWork {
    /// Opens the store in a folder, which is created if necessary. Blocks while it reads the whole journal.
    ///
    /// A payload or an answer may have 64 MiB minus the length of its id.
    ///
    /// # Errors
    ///
    /// Those of [`JournalBuilder::open`](outbound_journal::JournalBuilder::open), and a record that does not belong to
    /// a store of work.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, WorkError> {
        let journal = Journal::builder().max_record(MAX_RECORD).open(folder).map_err(WorkError::new)?;
        Self::on(journal)
    }

    /// The store on a journal with other settings. The journal has to be empty, or to hold such a store.
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
