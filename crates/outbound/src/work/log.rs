//! The journal of a store, as it is appended to.

use std::sync::Arc;

use bytes::Bytes;
use outbound_journal::{Error, Journal, Position};

use super::{
    WorkError,
    event::{Data, Event},
};

/// How many bytes are appended before a commit is waited for. Below 8 MiB an append never blocks.
const UNSYNCED: usize = 4 << 20;

/// The journal of a store. Only the store appends to it.
pub(crate) struct Log {
    pub(crate) journal: Arc<Journal>,
    /// The bytes of its records, roughly.
    pub(crate) bytes: usize,
    /// Bytes that were appended and may not be written yet.
    pub(crate) unsynced: usize,
    /// The last record.
    pub(crate) last: Option<Position>,
    buffer: Vec<u8>,
}

impl Log {
    /// `bytes` of records are there, and `last` is the last one.
    pub(crate) fn new(journal: Arc<Journal>, bytes: usize, last: Option<Position>) -> Self {
        Self { journal, bytes, unsynced: 0, last, buffer: Vec::new() }
    }

    /// Waits if much was appended that may not be written yet.
    pub(crate) async fn has_room(&mut self) -> Result<(), WorkError> {
        if self.unsynced >= UNSYNCED {
            self.journal.committed().await.map_err(WorkError::new)?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Writes an event to the journal. From then on its data is in the journal, and no longer in memory.
    pub(crate) fn append(&mut self, event: &mut Event) -> Result<(), WorkError> {
        let data = event.data().and_then(|data| data.in_memory()).unwrap_or_default();
        self.buffer.clear();
        event.encode(&data, &mut self.buffer);
        let position = self.journal.append(&self.buffer).map_err(WorkError::new)?;
        if let Some(data) = event.data() {
            data.move_to_journal(position);
        }
        self.bytes += self.buffer.len();
        self.unsynced += self.buffer.len();
        self.last = Some(position);
        Ok(())
    }
}

pub(crate) fn fetch(journal: &Journal, data: &Data) -> Result<Bytes, Error> {
    match data {
        Data::InMemory(bytes) => Ok(bytes.clone()),
        Data::InJournal { position, length } => {
            let mut record = journal.read(*position)?;
            Ok(record.split_off(record.len().saturating_sub(*length)).into())
        }
    }
}
