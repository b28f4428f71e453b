//! Tests of opening, writing, starting new segments, and failing.

use outbound_journal::{Error, Journal, Memory};

use crate::support::homes;

#[test]
fn a_record_that_is_too_large_is_an_error_and_changes_nothing() {
    for home in homes() {
        let journal = home.open(&Journal::builder().max_record(4)).expect("opens");
        journal.append(b"1234").expect("fits");
        let error = journal.append(b"12345").expect_err("too large");
        assert!(matches!(error, Error::TooLarge { bytes: 5, max: 4 }));
        journal.close().expect("durable");
        assert_eq!(home.records().expect("reads"), [b"1234"]);
    }
}

#[test]
fn two_writers_refuse() {
    for home in homes() {
        let first = home.open(&Journal::builder()).expect("opens");
        assert!(matches!(home.open(&Journal::builder()), Err(Error::Locked { .. })));
        first.append(b"one").expect("the first goes on");
        first.commit().expect("durable");
        drop(first);
        let second = home.open(&Journal::builder()).expect("the lock came back");
        assert_eq!(second.found_records(), 1);
    }
}

#[test]
fn reopening_goes_on_where_the_last_one_ended() {
    for home in homes() {
        assert!(home.open(&Journal::builder()).expect("opens").append(b"dropped, not committed").is_ok());
        home.write(&Journal::builder(), &[b"two"]);
        let journal = home.open(&Journal::builder()).expect("opens");
        assert_eq!((journal.found_records(), journal.cut_bytes()), (2, 0));
        let position = journal.append(b"three").expect("appended");
        assert_eq!(position.to_string(), "1:85");
        journal.commit().expect("durable");
        // Readers need no lock.
        assert_eq!(home.records().expect("reads"), [&b"dropped, not committed"[..], b"two", b"three"]);
        assert_eq!(home.segments().len(), 1);
    }
}

#[test]
fn opening_alone_writes_nothing() {
    for home in homes() {
        drop(home.open(&Journal::builder()).expect("opens"));
        assert!(home.segments().is_empty());
        assert!(home.records().expect("reads").is_empty());
    }
}

#[test]
fn a_record_inside_of_a_torn_record_is_not_taken_for_one() {
    for home in homes() {
        home.write(&Journal::builder(), &[b"inner"]);
        let image = home.segments().remove(0).1;
        home.remove_segment(1);
        home.write(&Journal::builder(), &[b"one", &image]);
        let mut bytes = home.segments().remove(0).1;
        // Without the mark of the commit, it is torn.
        bytes.truncate(bytes.len() - 8);
        // Its length is damaged; the record inside it is complete.
        bytes[39] ^= 1;
        home.set_segment(1, bytes);
        let journal = home.open(&Journal::builder()).expect("torn, not damaged");
        assert_eq!((journal.found_records(), journal.cut_bytes()), (1, 8 + image.len() as u64));
    }
}

#[test]
fn debug_prints_no_payload() {
    let memory = Memory::new();
    let journal = Journal::builder().open_memory(&memory).expect("opens");
    journal.append(&[171; 3]).expect("appended");
    journal.commit().expect("durable");
    let record = journal.records().expect("lists").next().expect("one").expect("right");
    let printed = format!("{journal:?} {memory:?} {record:?} {:?}", journal.records());
    assert!(printed.contains("length: 3") && printed.contains("bytes: 47"), "{printed}");
    assert!(!printed.contains("171"), "{printed}");
}
