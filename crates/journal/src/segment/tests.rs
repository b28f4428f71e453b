//! Tests of reading a segment that grows at the same time.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use super::Segment;
use crate::format::{Header, HeaderCheck, PREFIX, put_record};

/// Returns one part after the other, and an end after each.
struct Growing(VecDeque<Vec<u8>>);

impl Read for Growing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(part) = self.0.front_mut() else { return Ok(0) };
        if part.is_empty() {
            self.0.pop_front();
            return Ok(0);
        }
        let read = (&part[..]).read(into)?;
        part.drain(..read);
        Ok(read)
    }
}

/// Otherwise the second half of a record, and the record after it, would look like damage.
#[test]
fn what_comes_behind_the_end_that_was_seen_is_not_looked_at() {
    let mut bytes = Header { max_record: 100, begins: false, before: 0 }.bytes().to_vec();
    for _ in 0..3 {
        let offset = bytes.len() as u64;
        put_record(&mut bytes, 7, offset, b"record");
    }
    let record = PREFIX + b"record".len();
    for seen in bytes.len() - 2 * record..bytes.len() {
        let parts = [bytes[..seen].to_vec(), bytes[seen..].to_vec()];
        let (mut segment, look) = Segment::open(7, Box::new(Growing(parts.into()))).expect("reads");
        assert!(matches!(look, HeaderCheck::Good(Header { max_record: 100, .. })));
        let mut count = 0;
        while let Some((_, payload)) = segment.next().expect("reads") {
            assert_eq!(segment.bytes(payload), b"record");
            count += 1;
        }
        let whole = if seen < bytes.len() - record { 1 } else { 2 };
        assert_eq!(count, whole, "{seen} bytes were there");
        assert_eq!(segment.has_more().expect("reads"), seen != bytes.len() - record * (3 - whole));
        assert!(segment.is_torn().expect("reads"));
    }
}
