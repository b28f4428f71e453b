//! Reading one segment, in pieces.

use std::{
    io::{self, Read},
    ops::Range,
};

use crate::format::{HEADER, HeaderCheck, MARK, PREFIX, checksum, read_header, read_prefix};

/// Bytes that are read in one call.
const CHUNK: usize = 256 << 10;

/// A segment that is being read. It holds one record and one chunk at most.
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) max_record: u32,
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// The offset in the segment at which the buffer begins.
    base: u64,
    /// The offset in the buffer at which the next item begins.
    at: usize,
    /// The end was reached. Bytes that a writer adds later are ignored, because a part of a record may already have
    /// been read.
    ended: bool,
    /// Whether a mark follows the last record.
    pub(crate) marked: bool,
}

enum Item {
    Record(usize),
    Mark,
}

impl Segment {
    /// Reads the header. Returns the segment at its first record, or at its first byte if the header is not correct.
    pub(crate) fn open(number: u64, source: Box<dyn Read + Send>) -> io::Result<(Self, HeaderCheck)> {
        let buffer = Vec::new();
        let mut segment =
            Self { number, max_record: 0, source, buffer, base: 0, at: 0, ended: false, marked: true };
        segment.fill(HEADER)?;
        let header = read_header(&segment.buffer);
        if let HeaderCheck::Good(header) = header {
            segment.max_record = header.max_record;
            segment.at = HEADER;
        }
        Ok((segment, header))
    }

    /// Where the next item begins, in bytes from the start of the segment.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The next record: its offset, and the range of its payload for [`bytes`](Self::bytes). `None` at the end, or at
    /// an item that is incomplete or wrong.
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

    /// A payload. It is valid until [`next`](Self::next) is called again.
    pub(crate) fn bytes(&self, payload: Range<usize>) -> &[u8] {
        self.buffer.get(payload).unwrap_or_default()
    }

    /// Whether there are bytes where the next item should begin.
    pub(crate) fn has_more(&mut self) -> io::Result<bool> {
        self.fill(1)
    }

    /// Whether more than this many bytes follow.
    pub(crate) fn has_more_than(&mut self, bytes: usize) -> io::Result<bool> {
        self.fill(bytes + 1)
    }

    /// Goes to the end. Returns whether there is no correct item on the way.
    ///
    /// The length of a wrong record cannot be trusted, so an item is tried at every byte.
    pub(crate) fn is_torn(&mut self) -> io::Result<bool> {
        while self.fill(1)? {
            self.at += 1;
            if self.offset() >= HEADER as u64 && self.item()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The item that begins here. `None` if it is incomplete or wrong.
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

    /// Whether the buffer has this many bytes from here on. It reads more if needed.
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

/// The record at an offset of a segment that is read from that offset on. `None` if it is incomplete or wrong.
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
