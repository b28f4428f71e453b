//! Tests of damage at every byte: no committed record is lost, none is invented, and damage in the middle is
//! reported.

use outbound_journal::{Error, Fsync, Journal, JournalBuilder};

use crate::support::homes;

const RECORDS: [&[u8]; 3] = [b"first", b"", b"the third"];
/// After the header: where each record ends, and where the mark of the commit ends.
const ENDS: [usize; 5] = [28, 41, 49, 66, 74];

fn settings() -> JournalBuilder {
    // Thousands of openings: syncs would only cost time.
    Journal::builder().fsync(Fsync::Off)
}

#[test]
fn cut_at_every_length() {
    for home in homes() {
        home.write(&settings(), &RECORDS);
        let whole = home.segments().remove(0).1;
        assert_eq!(whole.len(), ENDS[4]);
        for length in 0..=whole.len() {
            home.set_segment(1, whole[..length].to_vec());
            let kept = ENDS[..4].iter().filter(|end| **end <= length).count().saturating_sub(1);
            let start = ENDS.iter().rev().find(|end| **end <= length).copied().unwrap_or(0);
            let journal = home.open(&settings()).expect("a torn end is no error");
            assert_eq!(journal.cut_bytes(), (length - start) as u64, "cut to {length}");
            assert_eq!(journal.found_records(), kept as u64, "cut to {length}");
            journal.append(b"after").expect("appended");
            journal.close().expect("durable");
            let mut expected = RECORDS[..kept].to_vec();
            expected.push(b"after");
            assert_eq!(home.records().expect("reads"), expected, "cut to {length}");
        }
    }
}

/// A damaged mark loses nothing, and it cannot be known why it is wrong.
#[test]
fn every_bit_of_the_mark() {
    for home in homes() {
        home.write(&settings(), &RECORDS);
        let whole = home.segments().remove(0).1;
        for bit in ENDS[3] * 8..ENDS[4] * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            home.set_segment(1, bytes);
            let journal = home.open(&settings()).expect("a wrong end is no error");
            assert_eq!((journal.found_records(), journal.cut_bytes()), (3, 8), "bit {bit}");
            drop(journal);
            assert_eq!(home.segments()[0].1, whole, "there is a mark again, bit {bit}");
        }
    }
}

#[test]
fn every_bit_before_the_mark_is_reported_and_nothing_is_changed() {
    for home in homes() {
        home.write(&settings(), &RECORDS);
        let whole = home.segments().remove(0).1;
        for bit in 0..ENDS[3] * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            home.set_segment(1, bytes.clone());
            let wrong = ENDS.iter().rev().find(|end| **end <= bit / 8).map_or(0, |end| *end as u64);
            let error = home.open(&settings()).expect_err("damage is an error");
            assert!(
                matches!(&error, Error::Damaged { offset, .. } if *offset == wrong),
                "bit {bit}: {error}"
            );
            assert!(error.to_string().contains("00000000000000000001.journal"), "{error}");
            assert!(matches!(home.records(), Err(Error::Damaged { .. })), "bit {bit}");
            assert_eq!(home.segments()[0].1, bytes);
        }
    }
}

/// Written but not committed: damage looks the same as a crash.
#[test]
fn every_bit_of_a_record_without_a_mark() {
    for home in homes() {
        home.write(&settings(), &RECORDS);
        let whole = home.segments().remove(0).1;
        for bit in ENDS[2] * 8..ENDS[3] * 8 {
            let mut bytes = whole[..ENDS[3]].to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            home.set_segment(1, bytes);
            let journal = home.open(&settings()).expect("a wrong end is no error");
            assert_eq!((journal.found_records(), journal.cut_bytes()), (2, 17), "bit {bit}");
            drop(journal);
            assert_eq!(home.records().expect("reads"), RECORDS[..2], "bit {bit}");
            assert_eq!(home.segments()[0].1[..ENDS[2]], whole[..ENDS[2]], "bit {bit}");
        }
    }
}

#[test]
fn bytes_behind_the_end_that_are_no_record_are_cut() {
    for home in homes() {
        home.write(&settings(), &RECORDS);
        let whole = home.segments().remove(0).1;
        for filler in [0, 1, 255] {
            for length in [1, 7, 8, 9, 100, 700_000] {
                home.set_segment(1, [&whole[..], &vec![filler; length]].concat());
                let journal = home.open(&settings()).expect("a wrong end is no error");
                assert_eq!((journal.found_records(), journal.cut_bytes()), (3, length as u64));
                drop(journal);
                assert_eq!(home.segments()[0].1, whole);
            }
        }
    }
}

/// Records that are about as large as one read.
#[test]
fn a_wrong_byte_in_a_large_segment_is_found_in_each_piece() {
    let home = &homes()[0];
    let records: Vec<_> = (1..60_usize).map(|number| vec![7; number * 3001]).collect();
    home.write(&settings(), &records.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(home.records().expect("reads"), records);
    let whole = home.segments().remove(0).1;
    for at in (28..whole.len() - 8).step_by(99_991) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        home.set_segment(1, bytes);
        let wrong = home.open(&settings()).expect_err("damage is an error");
        assert!(matches!(wrong, Error::Damaged { offset, .. } if offset <= at as u64), "{at}: {wrong}");
        home.set_segment(1, whole[..at].to_vec());
        let kept = records.iter().scan(28, |end, record| {
            *end += 8 + record.len();
            Some(*end)
        });
        let kept = kept.take_while(|end| *end <= at).count() as u64;
        assert_eq!(home.open(&settings()).expect("torn").found_records(), kept);
    }
}
