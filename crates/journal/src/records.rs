//! Reading all records of a journal in order, up to its torn end.

use std::{fmt, io, ops::Range, path::Path, sync::Arc, vec};

use crate::{
    Error, Memory, Position,
    disk::{DRAFT, Disk},
    folder::Folder,
    format::{HEADER, HeaderCheck},
    segment::Segment,
};

/// A record and its position. `Debug` does not print the payload, which may contain secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub position: Position,
    /// What was appended.
    pub bytes: Vec<u8>,
}

/// An iterator over the records of a journal, oldest first.
///
/// It takes no lock and writes nothing, so it works beside a writer and on a full disk. It returns what the writer
/// has handed to the operating system, committed or not. It holds one record and 256 KiB in memory. An incomplete or
/// wrong record ends the iteration, as the end of the journal does, if no correct record and no mark follows. If the
/// journal is [rewritten](crate::Journal::rewrite) in the meantime, it may end with [`Error::Io`]. After an error it
/// returns nothing more.
pub struct Records {
    disk: Arc<dyn Disk>,
    rest: vec::IntoIter<u64>,
    current: Option<Segment>,
    end: Option<End>,
    leftovers: Vec<u64>,
}

/// Where reading the last segment ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) position: Position,
    pub(crate) max_record: u32,
    pub(crate) torn: u64,
    /// Whether a mark follows the last record.
    pub(crate) marked: bool,
    /// Length of the segment before, 0 if there is none.
    pub(crate) before: u64,
}

impl Records {
    /// Reads the journal in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be listed. [`Error::Missing`] if there is a gap between two segments or
    /// before the first one. [`Error::Damaged`] if a segment has an impossible number.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder.as_ref()));
        Self::of(&disk)
    }

    /// Reads the journal in memory.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_memory(memory: &Memory) -> Result<Self, Error> {
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        Self::of(&disk)
    }

    pub(crate) fn of(disk: &Arc<dyn Disk>) -> Result<Self, Error> {
        let mut tries = 0;
        loop {
            match Self::begin(disk.clone()) {
                // The journal was rewritten after its segments were listed and before they were opened.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && tries < 8 => {
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    fn begin(disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let mut numbers = disk.segments().map_err(Error::io(disk.location()))?;
        // A journal never has this many segments. The name is damaged, and adding to the number would overflow.
        if let Some(number) = numbers.last().filter(|number| **number > u64::MAX / 2) {
            return Err(Error::Damaged { file: disk.name(*number), offset: 0 });
        }
        let mut first = None;
        for (index, number) in numbers.iter().enumerate().rev().filter(|(_, number)| **number != DRAFT) {
            let file = disk.name(*number);
            let source = disk.read(*number, 0).map_err(Error::io(&file))?;
            let header = Segment::open(*number, source).map_err(Error::io(&file))?.1;
            match header {
                HeaderCheck::Good(header) if header.begins => {
                    first = Some(index);
                    break;
                }
                // It is not known whether the journal begins here.
                HeaderCheck::Unknown { version } => return Err(Error::Version { file, version }),
                // If it is wrong, this is reported when the segment is read.
                HeaderCheck::Good(_) | HeaderCheck::Wrong => {}
            }
        }
        let drafts = numbers.iter().take_while(|number| **number == DRAFT).count();
        let rest = numbers.split_off(first.unwrap_or(drafts));
        let before = if first.is_some() { rest.first().map_or(0, |first| first - 1) } else { 0 };
        let mut expected = before;
        for number in &rest {
            expected += 1;
            if *number != expected {
                return Err(Error::Missing { file: disk.name(expected) });
            }
        }
        Ok(Self { disk, rest: rest.into_iter(), current: None, end: None, leftovers: numbers })
    }

    /// Segments that a rewrite has left. They are not part of the journal.
    pub(crate) fn leftovers(&self) -> &[u64] {
        &self.leftovers
    }

    /// Where the last segment ends, after all records were read without an error. `None` if there is no segment.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// The position of the next record, and the range of its payload for `bytes` of the current segment.
    pub(crate) fn advance(&mut self) -> Result<Option<(Position, Range<usize>)>, Error> {
        loop {
            if let Some(segment) = &mut self.current {
                let number = segment.number;
                let io = |disk: &Arc<dyn Disk>| Error::io(disk.name(number));
                if let Some((offset, payload)) = segment.next().map_err(io(&self.disk))? {
                    return Ok(Some((Position { segment: number, offset }, payload)));
                }
                let offset = segment.offset();
                let last = self.rest.as_slice().is_empty();
                if segment.has_more().map_err(io(&self.disk))?
                    && !(last && segment.is_torn().map_err(io(&self.disk))?)
                {
                    return Err(Error::Damaged { file: self.disk.name(number), offset });
                }
                self.end = Some(End {
                    position: Position { segment: number, offset },
                    max_record: segment.max_record,
                    torn: segment.offset() - offset,
                    marked: segment.marked,
                    before: self.end.map_or(0, |end| end.position.offset),
                });
                self.current = None;
            }
            let Some(number) = self.rest.next() else { return Ok(None) };
            self.current = Some(self.open(number)?);
        }
    }

    fn open(&self, number: u64) -> Result<Segment, Error> {
        let file = self.disk.name(number);
        let source = self.disk.read(number, 0).map_err(Error::io(&file))?;
        let (mut segment, header) = Segment::open(number, source).map_err(Error::io(&file))?;
        match header {
            HeaderCheck::Good(header) => match self.end.map(|end| end.position) {
                // The segment before lost records at its end.
                Some(end) if end.offset != header.before => {
                    Err(Error::Damaged { file: self.disk.name(end.segment), offset: end.offset })
                }
                _ => Ok(segment),
            },
            HeaderCheck::Unknown { version } => Err(Error::Version { file, version }),
            // The crash happened while the segment was created: it is torn from its first byte on.
            HeaderCheck::Wrong
                if self.rest.as_slice().is_empty()
                    && !segment.has_more_than(HEADER).map_err(Error::io(&file))? =>
            {
                Ok(segment)
            }
            HeaderCheck::Wrong => Err(Error::Damaged { file, offset: 0 }),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.advance();
        if step.is_err() {
            self.rest = Vec::new().into_iter();
            self.current = None;
        }
        let (position, payload) = match step.transpose()? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let bytes = self.current.as_ref()?.bytes(payload).to_vec();
        Some(Ok(Record { position, bytes }))
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
        f.debug_struct("Records").field("place", &self.disk.location()).finish_non_exhaustive()
    }
}
