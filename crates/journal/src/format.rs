//! Bytes of a segment: its header, its records, and where they stop to be right.

use std::ops::Range;

/// Bytes before the first record.
pub(crate) const HEADER: usize = 20;
/// Bytes before a record's payload.
pub(crate) const PREFIX: usize = 8;

const MAGIC: &[u8; 8] = b"outbound";
const VERSION: u32 = 1;

/// The header of a segment whose records have at most `max_record` bytes.
pub(crate) fn header(max_record: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&max_record.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Adds a record that begins at `offset` of its segment.
pub(crate) fn put_record(into: &mut Vec<u8>, segment: u64, offset: u64, payload: &[u8]) {
    // The caller has compared the length with a limit that is a u32.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&checksum(segment, offset, length, payload).to_le_bytes());
    into.extend_from_slice(payload);
}

/// The place is in the sum, so that a record inside of another record's payload is never taken for one.
fn checksum(segment: u64, offset: u64, length: u32, payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&segment.to_le_bytes());
    sum.update(&offset.to_le_bytes());
    sum.update(&length.to_le_bytes());
    sum.update(payload);
    sum.finalize()
}

/// What a look at a header said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Good { max_record: u32 },
    Unknown { version: u32 },
    Wrong,
}

pub(crate) fn read_header(bytes: &[u8]) -> Header {
    if bytes.len() < HEADER || &bytes[..8] != MAGIC {
        return Header::Wrong;
    }
    // The version comes first: another version may have its sum elsewhere.
    let sum_is_right = number(bytes, 16) == Some(crc32fast::hash(&bytes[..16]));
    match (number(bytes, 8), number(bytes, 12)) {
        (Some(VERSION), Some(max_record)) if sum_is_right => Header::Good { max_record },
        (Some(version), _) if sum_is_right => Header::Unknown { version },
        _ => Header::Wrong,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// The payload of the record that begins at `at`; `None` if it is incomplete or wrong.
pub(crate) fn record_at(bytes: &[u8], segment: u64, at: usize, max_record: u32) -> Option<Range<usize>> {
    let length = number(bytes, at)?;
    let sum = number(bytes, at + 4)?;
    if length > max_record {
        return None;
    }
    let begin = at + PREFIX;
    let payload = begin..begin.checked_add(usize::try_from(length).ok()?)?;
    let right = checksum(segment, at as u64, length, bytes.get(payload.clone())?) == sum;
    right.then_some(payload)
}

/// Whether a right record begins anywhere behind `at`.
///
/// The length of a wrong record cannot be trusted, so every byte is tried.
pub(crate) fn any_record_after(bytes: &[u8], segment: u64, at: usize, max_record: u32) -> bool {
    (at + 1..bytes.len()).any(|at| record_at(bytes, segment, at, max_record).is_some())
}
