//! Reading: all records in order, up to the torn end.

use std::{fmt, path::Path, sync::Arc, vec};

use crate::{
    Error, Memory, Position,
    disk::Disk,
    folder::Folder,
    format::{HEADER, Header, any_record_after, read_header, record_at},
};

/// A record and its place. `Debug` prints no payload, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub position: Position,
    /// What was appended.
    pub bytes: Vec<u8>,
}

/// An iterator over the records of a journal, oldest first.
///
/// It takes no lock and writes nothing, so it works while a writer is at work and while the disk is full. It gives
/// what the writer has handed to the system, committed or not, and one whole segment at a time is in memory. At an
/// incomplete or wrong record with no right one behind it, it ends as at the end of the journal. After an error it
/// gives nothing more.
pub struct Records {
    disk: Arc<dyn Disk>,
    rest: vec::IntoIter<u64>,
    current: Option<Segment>,
    torn: u64,
}

struct Segment {
    number: u64,
    bytes: Vec<u8>,
    max_record: u32,
    at: usize,
}

/// Where a walk over the last segment ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) position: Position,
    pub(crate) max_record: u32,
    pub(crate) torn: u64,
}

impl Records {
    /// Reads the journal in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be listed, [`Error::Missing`] if there is a gap between two segments,
    /// [`Error::Damaged`] if a segment has an absurd number.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::of(Arc::new(Folder::new(folder.as_ref())))
    }

    /// Reads the journal in a memory.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_memory(memory: &Memory) -> Result<Self, Error> {
        Self::of(Arc::new(memory.clone()))
    }

    pub(crate) fn of(disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let numbers = disk.segments().map_err(Error::io(disk.place()))?;
        if let Some(pair) = numbers.windows(2).find(|pair| pair[1] - pair[0] != 1) {
            return Err(Error::Missing { file: disk.name(pair[0] + 1) });
        }
        // No journal has ever as many: the name is damaged, and counting on would overflow.
        if let Some(number) = numbers.last().filter(|number| **number > u64::MAX / 2) {
            return Err(Error::Damaged { file: disk.name(*number), offset: 0 });
        }
        Ok(Self { disk, rest: numbers.into_iter(), current: None, torn: 0 })
    }

    /// Where the last segment ends, after a walk without an error; `None` if there is no segment.
    pub(crate) fn end(&self) -> Option<End> {
        let segment = self.current.as_ref()?;
        let position = Position { segment: segment.number, offset: segment.at as u64 };
        Some(End { position, max_record: segment.max_record, torn: self.torn })
    }

    fn step(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if let Some(segment) = &mut self.current {
                if let Some(record) = segment.next() {
                    return Ok(Some(record));
                }
                let left = segment.bytes.len() - segment.at;
                let last = self.rest.as_slice().is_empty();
                if left > 0 && (!last || !segment.is_torn()) {
                    let file = self.disk.name(segment.number);
                    return Err(Error::Damaged { file, offset: segment.at as u64 });
                }
                self.torn = left as u64;
            }
            let Some(number) = self.rest.next() else { return Ok(None) };
            self.current = Some(self.open(number)?);
        }
    }

    fn open(&self, number: u64) -> Result<Segment, Error> {
        let file = self.disk.name(number);
        let bytes = self.disk.read(number).map_err(Error::io(&file))?;
        match read_header(&bytes) {
            Header::Good { max_record } => Ok(Segment { number, bytes, max_record, at: HEADER }),
            Header::Unknown { version } => Err(Error::Version { file, version }),
            // The crash came while the segment was made: it is torn from its first byte on.
            Header::Wrong if self.rest.as_slice().is_empty() && bytes.len() <= HEADER => {
                Ok(Segment { number, bytes, max_record: 0, at: 0 })
            }
            Header::Wrong => Err(Error::Damaged { file, offset: 0 }),
        }
    }
}

impl Segment {
    fn next(&mut self) -> Option<Record> {
        if self.at < HEADER {
            return None;
        }
        let payload = record_at(&self.bytes, self.number, self.at, self.max_record)?;
        let position = Position { segment: self.number, offset: self.at as u64 };
        self.at = payload.end;
        Some(Record { position, bytes: self.bytes[payload].to_vec() })
    }

    fn is_torn(&self) -> bool {
        !any_record_after(&self.bytes, self.number, self.at, self.max_record)
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.rest = Vec::new().into_iter();
            self.current = None;
        }
        step.transpose()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.bytes.len();
        f.debug_struct("Record").field("position", &self.position).field("length", &length).finish()
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("place", &self.disk.place()).finish_non_exhaustive()
    }
}
