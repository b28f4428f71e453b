//! Damage at every byte: no committed record is lost, none is invented, and the middle is loud.

use outbound_journal::{Error, Fsync, Journal, JournalBuilder};

use crate::support::homes;

const RECORDS: [&[u8]; 3] = [b"first", b"", b"the third"];
const LAST: usize = 8 + 9;

fn settings() -> JournalBuilder {
    // Thousands of openings: the syncs would only cost time.
    Journal::builder().fsync(Fsync::Off)
}

#[test]
fn cut_at_every_length() {
    for home in homes() {
        home.write(&settings(), &RECORDS);
        let whole = home.segments().remove(0).1;
        let ends = [20, 33, 41, 58];
        assert_eq!(whole.len(), ends[3]);
        for length in 0..=whole.len() {
            home.set_segment(1, whole[..length].to_vec());
            let kept = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
            let start = ends.iter().rev().find(|end| **end <= length).copied().unwrap_or(0);
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

#[test]
fn every_bit_of_the_last_record() {
    for home in homes() {
        home.write(&settings(), &RECORDS);
        let whole = home.segments().remove(0).1;
        let start = whole.len() - LAST;
        for bit in start * 8..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            home.set_segment(1, bytes);
            let journal = home.open(&settings()).expect("a wrong end is no error");
            assert_eq!((journal.found_records(), journal.cut_bytes()), (2, LAST as u64), "bit {bit}");
            drop(journal);
            assert_eq!(home.records().expect("reads"), RECORDS[..2], "bit {bit}");
            assert_eq!(home.segments()[0].1, whole[..start], "bit {bit}");
        }
    }
}

#[test]
fn every_bit_before_the_last_record_is_reported_and_nothing_is_changed() {
    for home in homes() {
        home.write(&settings(), &RECORDS);
        let whole = home.segments().remove(0).1;
        for bit in 0..(whole.len() - LAST) * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            home.set_segment(1, bytes.clone());
            let wrong = match bit / 8 {
                0..20 => 0,
                20..33 => 20,
                _ => 33,
            };
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
