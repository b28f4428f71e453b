//! The bytes of a segment: its header, its records, its marks.

/// Bytes before the first record.
pub(crate) const HEADER: usize = 28;
/// Bytes of the header before its checksum.
const SUMMED: usize = HEADER - 4;
/// Bytes before a record's payload. A mark has these bytes and no payload.
pub(crate) const PREFIX: usize = 8;
/// In place of a length: this is a mark.
pub(crate) const MARK: u32 = u32::MAX;

const MAGIC: &[u8; 8] = b"outbound";
const VERSION: u16 = 1;
/// The journal begins with this segment, whatever segments exist before it.
const BEGINS: u16 = 1;

/// The content of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The largest record, in bytes.
    pub(crate) max_record: u32,
    /// Whether the journal begins here.
    pub(crate) begins: bool,
    /// Length of the segment before this one. Without it, a segment that lost its last records would look complete.
    pub(crate) before: u64,
}

impl Header {
    pub(crate) fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let flags = if self.begins { BEGINS } else { 0 };
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&flags.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.max_record.to_le_bytes());
        bytes[16..SUMMED].copy_from_slice(&self.before.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..SUMMED]);
        bytes[SUMMED..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}

/// Adds a record that begins at `offset` of its segment.
pub(crate) fn put_record(into: &mut Vec<u8>, segment: u64, offset: u64, payload: &[u8]) {
    // The caller has checked that the length is below the limit, which is below the number of a mark.
    let length = u32::try_from(payload.len()).unwrap_or(MARK);
    put(into, segment, offset, length, payload);
}

/// Adds a mark that begins at `offset` of its segment.
pub(crate) fn put_mark(into: &mut Vec<u8>, segment: u64, offset: u64) {
    put(into, segment, offset, MARK, &[]);
}

fn put(into: &mut Vec<u8>, segment: u64, offset: u64, length: u32, payload: &[u8]) {
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&checksum(segment, offset, length, payload).to_le_bytes());
    into.extend_from_slice(payload);
}

/// The checksum includes the position, so that a record inside the payload of another record is never taken for a
/// record. It is never zero, so that zeros are not a record.
pub(crate) fn checksum(segment: u64, offset: u64, length: u32, payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&segment.to_le_bytes());
    sum.update(&offset.to_le_bytes());
    sum.update(&length.to_le_bytes());
    sum.update(payload);
    sum.finalize().max(1)
}

/// The result of reading a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderCheck {
    Good(Header),
    Unknown { version: u32 },
    Wrong,
}

pub(crate) fn read_header(bytes: &[u8]) -> HeaderCheck {
    if bytes.len() < HEADER
        || &bytes[..8] != MAGIC
        || number(bytes, SUMMED) != Some(crc32fast::hash(&bytes[..SUMMED]))
    {
        return HeaderCheck::Wrong;
    }
    let version = u16::from_le_bytes([bytes[8], bytes[9]]);
    let flags = u16::from_le_bytes([bytes[10], bytes[11]]);
    match (number(bytes, 12), number(bytes, 16), number(bytes, 20)) {
        // An unknown flag may change the meaning of everything after it.
        (Some(max_record), Some(low), Some(high)) if version == VERSION && flags <= BEGINS => {
            let before = u64::from(high) << 32 | u64::from(low);
            HeaderCheck::Good(Header { max_record, begins: flags == BEGINS, before })
        }
        _ => HeaderCheck::Unknown { version: version.into() },
    }
}

/// The length and the sum at the start of `bytes`.
pub(crate) fn read_prefix(bytes: &[u8]) -> Option<(u32, u32)> {
    Some((number(bytes, 0)?, number(bytes, 4)?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}
