//! Opening, writing, rolling, failing.

use outbound_journal::{Error, Journal};

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
