//! Replacing the whole content of a journal at once.

use std::{io, sync::PoisonError};

use crate::{
    Error, Journal, Position,
    disk::{DRAFT, Disk},
    format::{HEADER, Header, PREFIX, put_mark, put_record},
    writer::{Files, Shared, State},
};

/// Bytes that are written in one call.
const CHUNK: usize = 1 << 20;

impl Journal {
    /// Makes these records the content of the journal, in place of all earlier records.
    ///
    /// A crash at any moment leaves all of the old content, or exactly the new one. Nobody should append between the
    /// moment when the records are collected and this call: such records are removed with the old content.
    /// [`Position`]s of the old content become invalid. Until the iterator ends, the old content can be
    /// [read](Self::read).
    ///
    /// It blocks until the new content is durable, also with [`Fsync::Off`](crate::Fsync::Off). Other appends and
    /// commits wait in the meantime. The new content is one segment, whatever its size.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], and [`Error::Io`] while the new content is written (for example on a full disk): the
    /// journal keeps the old content. [`Error::Failed`] if it is not known which of the two contents is there.
    pub fn rewrite(&self, records: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<(), Error> {
        self.try_rewrite(records.into_iter().map(Ok)).map(drop)
    }

    /// As [`rewrite`](Self::rewrite), with records that may fail to be made; the old content then stays. Returns the
    /// new positions.
    ///
    /// # Errors
    ///
    /// Those of [`rewrite`](Self::rewrite), and the first error of the records.
    pub fn try_rewrite(
        &self,
        records: impl IntoIterator<Item = Result<impl AsRef<[u8]>, Error>>,
    ) -> Result<Vec<Position>, Error> {
        let (mut access, next) = WriteAccess::wait(&self.shared)?;
        // At offset 0 the segment does not exist yet.
        let segment = if next.offset == 0 { next.segment } else { next.segment + 1 };
        let written = self.write_draft(segment, records);
        let (positions, end) = written.inspect_err(|_| {
            // If this fails, the draft is removed at the next opening.
            let _ = self.disk.remove(DRAFT);
        })?;
        access.outcome = match publish(&*self.disk, segment) {
            Ok(()) => Outcome::New(end),
            Err(error) => Outcome::Unknown(error),
        };
        drop(access);
        self.shared.state().failure()?;
        Ok(positions)
    }

    /// Writes and syncs the segment under the number of a draft. Returns the positions of the records, and its end.
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

/// Makes the draft the segment that the journal begins with, and removes the segments before it.
fn publish(disk: &dyn Disk, segment: u64) -> io::Result<()> {
    disk.rename(DRAFT, segment)?;
    disk.sync_names()?;
    // The journal is correct with them too. What cannot be removed now is removed at the next opening.
    for old in disk.segments().unwrap_or_default() {
        if old < segment && disk.remove(old).is_err() {
            break;
        }
    }
    Ok(())
}

/// Exclusive access to the files. They are given back when this is dropped, also if the caller's iterator panics.
struct WriteAccess<'a> {
    shared: &'a Shared,
    files: Option<Files>,
    outcome: Outcome,
}

enum Outcome {
    Old,
    New(Position),
    Unknown(io::Error),
}

impl<'a> WriteAccess<'a> {
    /// Waits until nobody else writes. Also returns the position of the next record.
    fn wait(shared: &'a Shared) -> Result<(Self, Position), Error> {
        let busy = |state: &mut State| state.files.is_none() && state.failed.is_none();
        let state = shared.done.wait_while(shared.state(), busy);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.failure()?;
        state.rewriting = true;
        Ok((Self { shared, files: state.files.take(), outcome: Outcome::Old }, state.next))
    }
}

impl Drop for WriteAccess<'_> {
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
