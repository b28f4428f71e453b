//! Tests of segments: new ones are started, they are read in order, and only the last one may be torn.

use outbound_journal::{Error, Journal, JournalBuilder};

use crate::support::homes;

fn small() -> JournalBuilder {
    Journal::builder().segment_bytes(64)
}

fn numbers(range: std::ops::Range<u32>) -> Vec<[u8; 4]> {
    range.map(u32::to_be_bytes).collect()
}

#[test]
fn they_roll_and_are_read_in_order() {
    for home in homes() {
        let journal = home.open(&small()).expect("opens");
        let mut positions = Vec::new();
        for record in numbers(0..50) {
            positions.push(journal.append(&record).expect("appended"));
        }
        journal.close().expect("durable");
        assert!(positions.is_sorted_by(|a, b| a < b));
        assert_eq!(home.records().expect("reads"), numbers(0..50));
        // Three records of 12 bytes after a header of 28.
        assert_eq!(home.segments().len(), 17);
        assert!(home.segments().iter().all(|(_, bytes)| bytes.len() <= 64 + 8));
        let journal = home.open(&small()).expect("opens again");
        assert_eq!((journal.found_records(), journal.cut_bytes()), (50, 0));
        let found: Vec<_> =
            journal.records().expect("lists").map(|record| record.expect("right").position).collect();
        assert_eq!(found, positions);
    }
}

#[test]
fn a_record_larger_than_a_segment_has_its_own() {
    for home in homes() {
        home.write(&small(), &[b"a", &[7; 200], b"b"]);
        let lengths: Vec<_> = home.segments().iter().map(|(_, bytes)| bytes.len()).collect();
        // The last one contains the mark of the commit.
        assert_eq!(lengths, [37, 236, 45]);
        assert_eq!(home.records().expect("reads"), [b"a".to_vec(), vec![7; 200], b"b".to_vec()]);
    }
}

#[test]
fn another_limit_for_records_begins_another_segment() {
    for home in homes() {
        home.write(&Journal::builder().max_record(4), &[b"1234"]);
        home.write(&Journal::builder().max_record(8), &[b"12345678"]);
        home.write(&Journal::builder().max_record(4), &[b"5678"]);
        assert_eq!(
            home.records().expect("reads"),
            [b"1234".to_vec(), b"12345678".to_vec(), b"5678".to_vec()]
        );
        assert_eq!(home.segments().len(), 3);
    }
}

#[test]
fn a_missing_one_is_named() {
    for home in homes() {
        let records = numbers(0..9);
        home.write(&small(), &records.iter().map(<[u8; 4]>::as_slice).collect::<Vec<_>>());
        home.remove_segment(2);
        let error = home.open(&small()).expect_err("a gap");
        assert!(
            matches!(&error, Error::Missing { file } if file.ends_with("00000000000000000002.journal")),
            "{error}"
        );
    }
}

#[test]
fn an_earlier_one_that_is_torn_is_damage_and_a_torn_header_of_the_last_is_cut() {
    for home in homes() {
        let records = numbers(0..6);
        home.write(&small(), &records.iter().map(<[u8; 4]>::as_slice).collect::<Vec<_>>());
        let segments = home.segments();
        for length in 0..=28 {
            home.set_segment(2, segments[1].1[..length].to_vec());
            assert_eq!(home.open(&small()).expect("torn").found_records(), 3, "cut to {length}");
        }
        // Wherever the first segment was cut between two records, it ends with a record. But it is still not
        // complete.
        home.set_segment(2, segments[1].1.clone());
        for length in 0..64 {
            home.set_segment(1, segments[0].1[..length].to_vec());
            let error = home.open(&small()).expect_err("the first is not whole");
            let kept = [52, 40, 28, 0].into_iter().find(|end| *end <= length).map(|end| end as u64);
            assert!(
                matches!(error, Error::Damaged { offset, .. } if Some(offset) == kept),
                "{length}: {error}"
            );
        }
    }
}

#[test]
fn a_later_version_is_not_touched() {
    for home in homes() {
        home.write(&small(), &[b"one"]);
        let mut bytes = home.segments().remove(0).1;
        bytes[8] = 2;
        let sum = crc32fast::hash(&bytes[..24]);
        bytes[24..28].copy_from_slice(&sum.to_le_bytes());
        home.set_segment(1, bytes.clone());
        assert!(matches!(home.open(&small()), Err(Error::Version { version: 2, .. })));
        assert_eq!(home.segments()[0].1, bytes);
    }
}

#[test]
fn segments_in_each_others_place_are_damage() {
    for home in homes() {
        let records = numbers(0..6);
        home.write(&small(), &records.iter().map(<[u8; 4]>::as_slice).collect::<Vec<_>>());
        let segments = home.segments();
        home.set_segment(1, segments[1].1.clone());
        home.set_segment(2, segments[0].1.clone());
        assert!(matches!(home.open(&small()), Err(Error::Damaged { offset: 28, .. })));
    }
}

#[test]
fn a_wrong_header_with_anything_behind_it_is_damage() {
    for home in homes() {
        home.write(&small(), &[b"one"]);
        let mut bytes = home.segments().remove(0).1;
        bytes[0] ^= 1;
        home.set_segment(1, bytes.clone());
        assert!(matches!(home.open(&small()), Err(Error::Damaged { offset: 0, .. })));
        assert_eq!(home.segments()[0].1, bytes);
    }
}

#[test]
fn an_absurd_number_is_damage() {
    for home in homes() {
        home.set_segment(u64::MAX, Vec::new());
        assert!(matches!(home.open(&small()), Err(Error::Damaged { offset: 0, .. })));
    }
}
