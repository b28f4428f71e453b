//! Replacing the whole content at once.

use std::{io, sync::PoisonError};

use crate::{
    Error, Journal, Position,
    disk::{DRAFT, Disk},
    format::{HEADER, Header, PREFIX, put_mark, put_record},
    writer::{Files, Shared, State},
};

/// Bytes that are written at once.
const CHUNK: usize = 1 << 20;

impl Journal {
    /// Makes these records the journal's content, in place of all that was appended before.
    ///
    /// A crash at any moment leaves all of the old content, or exactly the new one. Keep others from appending between
    /// the moment at which the records are gathered and this call: what they append then goes with the old content.
    /// [`Position`]s of the old content mean nothing afterwards. Until the iterator ends, the old content can be
    /// [read](Self::read).
    ///
    /// It blocks until the new content is durable, under [`Fsync::Off`](crate::Fsync::Off), too. Appends and commits
    /// of others wait meanwhile. The new content is one segment, whatever its size.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], and [`Error::Io`] while the new content is written (the disk may be full): the journal
    /// goes on with the old content. [`Error::Failed`] where it is not known which of both is there.
    pub fn rewrite(&self, records: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<(), Error> {
        self.try_rewrite(records.into_iter().map(Ok)).map(drop)
    }

    /// As [`rewrite`](Self::rewrite), with records that may fail to be made: then the old content stays. Gives their new
    /// positions.
    ///
    /// # Errors
    ///
    /// As [`rewrite`](Self::rewrite), and the first of the records'.
    pub fn try_rewrite(
        &self,
        records: impl IntoIterator<Item = Result<impl AsRef<[u8]>, Error>>,
    ) -> Result<Vec<Position>, Error> {
        let (mut turn, next) = Turn::wait(&self.shared)?;
        // At offset 0 the segment is not there yet.
        let segment = if next.offset == 0 { next.segment } else { next.segment + 1 };
        let written = self.write_draft(segment, records);
        let (positions, end) = written.inspect_err(|_| {
            // If this fails, opening removes it.
            let _ = self.disk.remove(DRAFT);
        })?;
        turn.outcome = match publish(&*self.disk, segment) {
            Ok(()) => Outcome::New(end),
            Err(error) => Outcome::Unknown(error),
        };
        drop(turn);
        self.shared.state().failure()?;
        Ok(positions)
    }

    /// Writes and syncs the segment under the number of a draft. Gives the places of the records, and its end.
    fn write_draft(
        &self,
        segment: u64,
        records: impl IntoIterator<Item = Result<impl AsRef<[u8]>, Error>>,
    ) -> Result<(Vec<Position>, Position), Error> {
        let io = || Error::io(self.disk.name(DRAFT));
        match self.disk.remove(DRAFT) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io()(error)),
            _ => {}
        }
        let header = Header { max_record: self.settings.max_record, begins: true, before: 0 };
        let mut chunk = header.bytes().to_vec();
        let mut positions = Vec::new();
        let mut offset = HEADER as u64;
        for record in records {
            let record = record?;
            let record = record.as_ref();
            self.settings.fits(record)?;
            put_record(&mut chunk, segment, offset, record);
            positions.push(Position { segment, offset });
            offset += (PREFIX + record.len()) as u64;
            if chunk.len() >= CHUNK {
                self.disk.append(DRAFT, &chunk).map_err(io())?;
                chunk.clear();
            }
        }
        put_mark(&mut chunk, segment, offset);
        self.disk.append(DRAFT, &chunk).map_err(io())?;
        self.disk.sync(DRAFT).map_err(io())?;
        Ok((positions, Position { segment, offset: offset + PREFIX as u64 }))
    }
}

/// Makes the draft the segment that the journal begins with, and removes those before it.
fn publish(disk: &dyn Disk, segment: u64) -> io::Result<()> {
    disk.rename(DRAFT, segment)?;
    disk.sync_names()?;
    // The journal is right with them, too. What cannot be removed is removed at the next opening.
    for old in disk.segments().unwrap_or_default() {
        if old < segment && disk.remove(old).is_err() {
            break;
        }
    }
    Ok(())
}

/// The right to write. The files go back when it is dropped: if the caller's iterator panics, too.
struct Turn<'a> {
    shared: &'a Shared,
    files: Option<Files>,
    outcome: Outcome,
}

enum Outcome {
    Old,
    New(Position),
    Unknown(io::Error),
}

impl<'a> Turn<'a> {
    /// Waits until nobody writes. Gives the place of the next record, too.
    fn wait(shared: &'a Shared) -> Result<(Self, Position), Error> {
        let busy = |state: &mut State| state.files.is_none() && state.failed.is_none();
        let state = shared.done.wait_while(shared.state(), busy);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.failure()?;
        state.rewriting = true;
        Ok((Self { shared, files: state.files.take(), outcome: Outcome::Old }, state.next))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.rewriting = false;
        state.files = self.files.take();
        match &self.outcome {
            Outcome::Old => {}
            Outcome::New(next) => {
                state.next = *next;
                state.marked = true;
                state.pending.clear();
                state.pending_bytes = 0;
                state.durable = state.appended;
                if let Some(files) = &mut state.files {
                    files.newest = Some(next.segment);
                    files.dirty = None;
                    files.new_names = false;
                }
            }
            Outcome::Unknown(error) => state.failed = Some((error.kind(), error.to_string())),
        }
        self.shared.changed(state);
    }
}
