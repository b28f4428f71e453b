//! Tests of commits: what they promise, how many syncs they need, and what follows from a failure.

use std::{io::ErrorKind, sync::Barrier, thread, time::Duration};

use outbound_journal::{Error, Fsync, Journal, Memory, Records};

fn read(memory: &Memory) -> Vec<Vec<u8>> {
    let records = Records::read_memory(memory).expect("lists");
    records.map(|record| record.expect("right").bytes).collect()
}

#[test]
fn what_was_committed_survives_a_loss_of_power() {
    let memory = Memory::new();
    let journal = Journal::builder().segment_bytes(100).open_memory(&memory).expect("opens");
    for count in 1..=40_u8 {
        journal.append(&[count; 9]).expect("appended");
        journal.commit().expect("durable");
        let left = read(&memory.after_power_loss());
        assert_eq!(left, (1..=count).map(|count| vec![count; 9]).collect::<Vec<_>>());
    }
}

#[test]
fn one_commit_makes_all_segments_durable() {
    let memory = Memory::new();
    let journal = Journal::builder().segment_bytes(100).open_memory(&memory).expect("opens");
    for count in 0..40_u8 {
        journal.append(&[count; 9]).expect("appended");
    }
    journal.commit().expect("durable");
    assert_eq!(read(&memory.after_power_loss()), (0..40).map(|count| vec![count; 9]).collect::<Vec<_>>());
}

#[test]
fn without_a_sync_nothing_is_promised_to_survive() {
    let memory = Memory::new();
    let journal = Journal::builder().fsync(Fsync::Off).open_memory(&memory).expect("opens");
    journal.append(b"one").expect("appended");
    journal.commit().expect("the system has it");
    assert_eq!(read(&memory), [b"one"]);
    journal.close().expect("closes");
    assert_eq!(memory.syncs(), 0);
    assert!(read(&memory.after_power_loss()).is_empty());
}

#[test]
fn all_who_wait_share_one_sync() {
    for fsync in [Fsync::Always, Fsync::Batch(Duration::from_millis(20))] {
        let memory = Memory::new();
        let journal = Journal::builder().fsync(fsync).open_memory(&memory).expect("opens");
        // All have appended before the first one commits.
        let together = Barrier::new(16);
        thread::scope(|scope| {
            for number in 0..16_u8 {
                let (journal, together) = (&journal, &together);
                scope.spawn(move || {
                    journal.append(&[number]).expect("appended");
                    together.wait();
                    journal.commit().expect("durable");
                });
            }
        });
        assert_eq!(memory.syncs(), 1);
        assert_eq!(read(&memory.after_power_loss()).len(), 16);
    }
}

#[test]
fn closing_waits_for_nobody_to_share_the_sync() {
    let memory = Memory::new();
    let an_hour = Fsync::Batch(Duration::from_secs(3600));
    let journal = Journal::builder().fsync(an_hour).open_memory(&memory).expect("opens");
    journal.append(b"one").expect("appended");
    journal.close().expect("durable");
    let journal = Journal::builder().fsync(an_hour).open_memory(&memory).expect("opens");
    journal.append(b"two").expect("appended");
    drop(journal);
    assert_eq!(read(&memory.after_power_loss()), [b"one", b"two"]);
}

#[test]
fn a_commit_of_nothing_new_costs_no_sync() {
    let memory = Memory::new();
    let journal = Journal::builder().open_memory(&memory).expect("opens");
    journal.commit().expect("nothing to do");
    journal.append(b"one").expect("appended");
    journal.commit().expect("durable");
    journal.commit().expect("durable already");
    assert_eq!(memory.syncs(), 1);
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let memory = Memory::new();
    let journal = Journal::builder().open_memory(&memory).expect("opens");
    journal.append(b"one").expect("appended");
    journal.commit().expect("durable");
    memory.fail_next_sync();
    journal.append(b"two").expect("appended");
    for _ in 0..3 {
        let error = journal.commit().expect_err("not durable");
        assert!(matches!(&error, Error::Failed { kind: ErrorKind::Other, .. }), "{error}");
        assert!(error.to_string().contains("the device did not take the bytes"), "{error}");
    }
    assert!(matches!(journal.append(b"three"), Err(Error::Failed { .. })));
    assert_eq!(read(&memory.after_power_loss()), [b"one"]);
    assert!(matches!(journal.close(), Err(Error::Failed { .. })));
    assert_eq!(memory.syncs(), 2);
}

#[test]
fn readable_while_the_disk_is_full_and_writable_after() {
    let memory = Memory::new();
    let journal = Journal::builder().open_memory(&memory).expect("opens");
    journal.append(b"one").expect("appended");
    journal.commit().expect("durable");
    memory.set_room(Some(10));
    journal.append(b"does not fit").expect("appended");
    let error = journal.commit().expect_err("full");
    assert!(matches!(&error, Error::Failed { kind: ErrorKind::StorageFull, .. }), "{error}");
    let found: Vec<_> =
        journal.records().expect("lists").map(|record| record.expect("right").bytes).collect();
    assert_eq!(found, [b"one"]);
    drop(journal);

    memory.set_room(Some(0));
    let journal = Journal::builder().open_memory(&memory).expect("opens on a full disk");
    assert_eq!((journal.found_records(), journal.cut_bytes()), (1, 10));
    memory.set_room(None);
    journal.append(b"two").expect("appended");
    journal.close().expect("durable");
    assert_eq!(read(&memory), [b"one", b"two"]);
}

#[test]
fn opening_makes_durable_what_it_found() {
    let memory = Memory::new();
    let journal = Journal::builder().fsync(Fsync::Off).open_memory(&memory).expect("opens");
    journal.append(b"one").expect("appended");
    journal.close().expect("the system has it");
    drop(Journal::builder().open_memory(&memory).expect("opens"));
    assert_eq!(read(&memory.after_power_loss()), [b"one"]);
}

#[test]
fn an_append_waits_while_the_buffer_is_full_and_loses_nothing() {
    let memory = Memory::new();
    let journal = Journal::builder().fsync(Fsync::Off).open_memory(&memory).expect("opens");
    let record = vec![7; 1 << 20];
    for _ in 0..40 {
        journal.append(&record).expect("appended");
    }
    journal.close().expect("the system has it");
    assert_eq!(read(&memory).len(), 40);
}
