//! Reading one segment, in pieces.

use std::{
    io::{self, Read},
    ops::Range,
};

use crate::format::{HEADER, Look, MARK, PREFIX, checksum, read_header, read_prefix};

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A segment that is being read. It holds a record and a chunk at most.
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) max_record: u32,
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Where in the segment the buffer begins.
    base: u64,
    /// Where in the buffer the next item begins.
    at: usize,
    /// The end was seen. What a writer adds later is not looked at: half of a record may have been read before.
    ended: bool,
    /// Whether a mark comes behind the last record.
    pub(crate) marked: bool,
}

enum Item {
    Record(usize),
    Mark,
}

impl Segment {
    /// Reads the header. Gives the segment at its first record, or at its first byte if the header is not good.
    pub(crate) fn open(number: u64, source: Box<dyn Read + Send>) -> io::Result<(Self, Look)> {
        let buffer = Vec::new();
        let mut segment =
            Self { number, max_record: 0, source, buffer, base: 0, at: 0, ended: false, marked: true };
        segment.fill(HEADER)?;
        let look = read_header(&segment.buffer);
        if let Look::Good(header) = look {
            segment.max_record = header.max_record;
            segment.at = HEADER;
        }
        Ok((segment, look))
    }

    /// Where the next item begins, in bytes from the start of the segment.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The next record: its offset, and its payload for [`bytes`](Self::bytes). `None` at the end, or at an item that
    /// is incomplete or wrong.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Range<usize>)>> {
        while self.offset() >= HEADER as u64 {
            let offset = self.offset();
            match self.item()? {
                Some(Item::Record(length)) => {
                    let begin = self.at + PREFIX;
                    self.at = begin + length;
                    self.marked = false;
                    return Ok(Some((offset, begin..self.at)));
                }
                Some(Item::Mark) => {
                    self.at += PREFIX;
                    self.marked = true;
                }
                None => break,
            }
        }
        Ok(None)
    }

    /// A payload, until the next call of [`next`](Self::next).
    pub(crate) fn bytes(&self, payload: Range<usize>) -> &[u8] {
        self.buffer.get(payload).unwrap_or_default()
    }

    /// Whether there is anything where the next item should begin.
    pub(crate) fn has_more(&mut self) -> io::Result<bool> {
        self.fill(1)
    }

    /// Whether there are more bytes than so many from here on.
    pub(crate) fn has_more_than(&mut self, bytes: usize) -> io::Result<bool> {
        self.fill(bytes + 1)
    }

    /// Goes to the end. Whether there is no right item on the way.
    ///
    /// The length of a wrong record cannot be trusted, so every byte is tried.
    pub(crate) fn is_torn(&mut self) -> io::Result<bool> {
        while self.fill(1)? {
            self.at += 1;
            if self.offset() >= HEADER as u64 && self.item()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What begins here; `None` if it is incomplete or wrong.
    fn item(&mut self) -> io::Result<Option<Item>> {
        self.fill(PREFIX)?;
        let Some((length, sum)) = read_prefix(&self.buffer[self.at..]) else { return Ok(None) };
        let offset = self.offset();
        if length == MARK {
            return Ok((checksum(self.number, offset, length, &[]) == sum).then_some(Item::Mark));
        }
        let Ok(bytes) = usize::try_from(length) else { return Ok(None) };
        if length > self.max_record || !self.fill(PREFIX + bytes)? {
            return Ok(None);
        }
        let payload = &self.buffer[self.at + PREFIX..][..bytes];
        Ok((checksum(self.number, offset, length, payload) == sum).then_some(Item::Record(bytes)))
    }

    /// Whether the buffer has so many bytes from here on, after reading on where needed.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        let missing = (self.at + bytes).saturating_sub(self.buffer.len());
        if missing > 0 && !self.ended {
            self.buffer.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
            let wanted = missing.max(CHUNK);
            let read = self.source.by_ref().take(wanted as u64).read_to_end(&mut self.buffer)?;
            self.ended = read < wanted;
        }
        Ok(self.at + bytes <= self.buffer.len())
    }
}

/// The record at a place of a segment, read from there on. `None` if it is incomplete or wrong.
pub(crate) fn read_one(source: &mut dyn Read, segment: u64, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(PREFIX as u64).read_to_end(&mut bytes)?;
    let Some((length, sum)) = read_prefix(&bytes).filter(|(length, _)| *length != MARK) else {
        return Ok(None);
    };
    bytes.clear();
    source.take(length.into()).read_to_end(&mut bytes)?;
    let is_right =
        bytes.len() as u64 == u64::from(length) && checksum(segment, offset, length, &bytes) == sum;
    Ok(is_right.then_some(bytes))
}

#[cfg(test)]
mod tests;
