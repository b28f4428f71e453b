//! Tests of a rewrite: all of the old content or all of the new, whatever happens in between.

use std::{
    env,
    io::{BufRead, BufReader, ErrorKind, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    thread,
};

use outbound_journal::{Error, Fsync, Journal, JournalBuilder, Memory, Position, Records};

use crate::support::homes;

const FOLDER: &str = "OUTBOUND_JOURNAL_REWRITE_FOLDER";

fn small() -> JournalBuilder {
    Journal::builder().segment_bytes(64)
}

fn read(memory: &Memory) -> Vec<Vec<u8>> {
    let records = Records::read_memory(memory).expect("lists");
    records.map(|record| record.expect("right").bytes).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|number| number.to_be_bytes().to_vec()).collect()
}

fn append_all(journal: &Journal, records: &[Vec<u8>]) {
    for record in records {
        journal.append(record).expect("appended");
    }
    journal.commit().expect("durable");
}

#[test]
fn the_records_are_the_content_and_the_journal_goes_on_behind_them() {
    for home in homes() {
        let journal = home.open(&small()).expect("opens");
        append_all(&journal, &numbers(0..20));
        for round in 0..3 {
            journal.append(b"never committed").expect("appended");
            journal.rewrite(numbers(100..107)).expect("durable");
            assert_eq!(home.records().expect("reads"), numbers(100..107));
            assert_eq!(journal.records().expect("lists").count(), 7, "round {round}");
        }
        append_all(&journal, &numbers(107..120));
        journal.close().expect("durable");
        let journal = home.open(&small()).expect("opens");
        assert_eq!((journal.found_records(), journal.cut_bytes()), (20, 0));
        assert_eq!(home.records().expect("reads"), numbers(100..120));
        journal.rewrite(Vec::<Vec<u8>>::new()).expect("durable");
        assert!(home.records().expect("reads").is_empty());
        journal.append(b"after nothing").expect("appended");
        journal.close().expect("durable");
        assert_eq!(home.records().expect("reads"), [b"after nothing"]);
    }
}

#[test]
fn the_first_thing_may_be_a_rewrite() {
    for home in homes() {
        let journal = home.open(&small()).expect("opens");
        journal.rewrite([b"one"]).expect("durable");
        drop(journal);
        assert_eq!(home.open(&small()).expect("opens").found_records(), 1);
        assert_eq!(home.segments().len(), 1);
    }
}

#[test]
fn the_device_may_go_at_every_step() {
    for fsync in [Fsync::Always, Fsync::Off] {
        let (old, new) = (numbers(0..20), numbers(100..107));
        let (mut old_seen, mut new_seen, mut finished) = (0, 0, false);
        for steps in 0..60 {
            let memory = Memory::new();
            drop(small().open_memory(&memory).map(|journal| append_all(&journal, &old)));
            let journal = small().fsync(fsync).open_memory(&memory).expect("opens");
            memory.set_changes(Some(steps));
            let result = journal.rewrite(&new);
            // Either the power fails, or only the process ends.
            for left in [memory.after_power_loss(), copy(&memory)] {
                let found = read(&left);
                assert!(found == old || found == new, "after {steps} steps: {found:?}");
                assert!(result.is_err() || found == new, "after {steps} steps");
                if found == old {
                    old_seen += 1;
                } else {
                    new_seen += 1;
                }
                let journal = small().open_memory(&left).expect("opens");
                append_all(&journal, &numbers(200..201));
                drop(journal);
                assert_eq!(read(&left), [found, numbers(200..201)].concat(), "after {steps} steps");
                let first = if left.segments()[0].0 == 1 { &old } else { &new };
                assert!(read(&left).starts_with(first), "leftovers stay after {steps} steps");
            }
            // Or both continue, and the device works again.
            memory.set_changes(None);
            match result {
                Err(Error::Failed { .. }) => assert!(journal.append(b"more").is_err()),
                Err(Error::Io { .. }) => {
                    append_all(&journal, &numbers(20..21));
                    assert_eq!(read(&memory), numbers(0..21));
                    journal.rewrite(&new).expect("the next one works");
                    assert_eq!(read(&memory.after_power_loss()), new);
                }
                Err(error) => panic!("{error}"),
                Ok(_) => {
                    append_all(&journal, &numbers(107..108));
                    assert_eq!(read(&memory), numbers(100..108));
                    finished |= memory.segments().len() == 2;
                }
            }
        }
        assert!(old_seen > 2 && new_seen > 20 && finished, "{old_seen} {new_seen}");
    }
}

fn copy(memory: &Memory) -> Memory {
    let copy = Memory::new();
    memory.segments().into_iter().for_each(|(number, bytes)| copy.set_segment(number, bytes));
    copy
}

#[test]
fn a_full_disk_changes_nothing() {
    for room in 0..150 {
        let memory = Memory::new();
        let journal = small().open_memory(&memory).expect("opens");
        append_all(&journal, &numbers(0..9));
        memory.set_room(Some(room));
        let result = journal.rewrite(numbers(100..110));
        // A header, ten records and a mark.
        if room < 28 + 10 * 12 + 8 {
            let error = result.expect_err("full");
            assert!(
                matches!(&error, Error::Io { source, .. } if source.kind() == ErrorKind::StorageFull),
                "{error}"
            );
            memory.set_room(None);
            append_all(&journal, &numbers(9..10));
            assert_eq!(read(&memory.after_power_loss()), numbers(0..10));
        } else {
            result.expect("fits");
        }
    }
}

#[test]
fn a_record_that_is_too_large_and_an_iterator_that_panics_change_nothing() {
    for home in homes() {
        let journal = home.open(&small().max_record(4)).expect("opens");
        append_all(&journal, &numbers(0..9));
        let error = journal.rewrite([&b"good"[..], b"too large"]).expect_err("too large");
        assert!(matches!(error, Error::TooLarge { bytes: 9, max: 4 }));
        let panics = (0..5).map(|number| {
            assert!(number < 3, "on purpose");
            b"good"
        });
        assert!(catch_unwind(AssertUnwindSafe(|| journal.rewrite(panics))).is_err());
        append_all(&journal, &numbers(9..10));
        assert_eq!(home.records().expect("reads"), numbers(0..10));
        journal.rewrite([b"new"]).expect("durable");
        drop(journal);
        assert_eq!(home.records().expect("reads"), [b"new"]);
        assert_eq!(home.segments().iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), 28 + 11 + 8);
    }
}

#[test]
fn one_record_is_read_at_its_place_before_and_after() {
    for home in homes() {
        let journal = home.open(&small()).expect("opens");
        let mut records = numbers(0..20);
        records.push(Vec::new());
        records.push(vec![7; 5000]);
        let old: Vec<_> = records.iter().map(|record| journal.append(record).expect("appended")).collect();
        journal.commit().expect("durable");
        assert!(
            old.iter().zip(&records).all(|(place, record)| journal.read(*place).expect("right") == *record)
        );
        // A record that cannot be read stops the rewrite.
        let wrong = Position { offset: old[0].offset + 1, ..old[0] };
        let places = [old[3], wrong, old[5]];
        let error = journal.try_rewrite(places.map(|place| journal.read(place))).expect_err("no such record");
        assert!(matches!(error, Error::Damaged { offset: 29, .. }), "{error}");
        assert_eq!(home.records().expect("reads"), records);
        // Every second one, read while the journal is rewritten.
        let half = old.iter().step_by(2).map(|place| journal.read(*place));
        let new = journal.try_rewrite(half).expect("durable");
        let expected: Vec<_> = records.iter().step_by(2).collect();
        assert!(
            new.iter().zip(&expected).all(|(place, record)| journal.read(*place).expect("right") == **record)
        );
        assert_eq!(new.len(), 11);
        assert!(journal.read(old[0]).is_err(), "it is gone");
        // A mark is not a record, and the end is not one either.
        let last = new[10];
        let mark = Position { offset: last.offset + 8 + expected[10].len() as u64, ..last };
        assert!(matches!(journal.read(mark), Err(Error::Damaged { .. })));
        let end = Position { offset: mark.offset + 8, ..mark };
        assert!(matches!(journal.read(end), Err(Error::Damaged { .. })));
    }
}

#[test]
fn what_a_crash_left_before_it_is_no_part_of_the_journal_and_is_removed() {
    for home in homes() {
        home.write(&small(), &[&[1; 40], &[2; 40], &[3; 40]]);
        let old = home.segments();
        home.open(&small()).expect("opens").rewrite([b"new"]).expect("durable");
        // Any of the old segments may exist, in any state, and also the draft of another rewrite.
        home.set_segment(2, old[1].1.clone());
        home.set_segment(3, old[2].1[..10].to_vec());
        home.set_segment(0, old[0].1[..30].to_vec());
        assert_eq!(home.records().expect("reads"), [b"new"]);
        assert_eq!(home.segments().len(), 4);
        assert_eq!(home.open(&small()).expect("opens").found_records(), 1);
        assert_eq!(home.segments().len(), 1);
    }
}

#[test]
fn without_its_first_segment_it_is_not_whole() {
    for home in homes() {
        home.write(&small(), &[&[1; 40]]);
        let journal = home.open(&small()).expect("opens");
        journal.rewrite([[2; 40]]).expect("durable");
        append_all(&journal, &[vec![3; 40], vec![4; 40]]);
        drop(journal);
        home.remove_segment(2);
        assert!(matches!(home.records(), Err(Error::Missing { .. })));
        assert!(matches!(home.open(&small()), Err(Error::Missing { .. })));
        assert_eq!(home.segments().len(), 2);
    }
}

#[test]
fn others_append_and_commit_meanwhile() {
    for home in homes() {
        let journal = home.open(&small().fsync(Fsync::Off)).expect("opens");
        thread::scope(|scope| {
            for number in 0..4_u8 {
                let journal = &journal;
                scope.spawn(move || {
                    for count in 0..200_u8 {
                        journal.append(&[number, count]).expect("appended");
                        journal.commit().expect("durable");
                    }
                });
            }
            for _ in 0..50 {
                journal.rewrite([[99, 0]]).expect("durable");
            }
        });
        drop(journal);
        let records = home.records().expect("reads");
        assert_eq!(records[0], [99, 0]);
        for number in 0..4 {
            let counts: Vec<_> =
                records.iter().filter(|record| record[0] == number).map(|record| record[1]).collect();
            let expected = 200 - u8::try_from(counts.len()).expect("few")..200;
            assert!(counts.into_iter().eq(expected), "those behind the last rewrite are all there");
        }
    }
}

/// The other process: it rewrites forever, and prints each rewrite that is durable. Run alone, it does nothing.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let journal = Journal::builder().segment_bytes(1000).open(folder).expect("opens");
    let first =
        journal.records().expect("lists").next().map_or(0, |record| number(&record.expect("right").bytes));
    for round in first + 1.. {
        journal.rewrite(vec![round.to_be_bytes(); 20]).expect("durable");
        journal.append(&round.to_be_bytes()).expect("appended");
        journal.commit().expect("durable");
        // Not `println`, because the test harness captures it.
        writeln!(std::io::stderr(), "durable {round}").expect("somebody reads");
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("8 bytes"))
}

#[test]
fn a_kill_leaves_the_old_or_the_new() {
    let folder = tempfile::tempdir().expect("a folder");
    for kills in 1..=20 {
        let mut child = Command::new(env::current_exe().expect("this binary"))
            .args(["rewrite::the_process_that_is_killed", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut durable = 0;
        for _ in 0..3 {
            let line = lines.next().expect("goes on").expect("text");
            durable = line.strip_prefix("durable ").expect("a number").parse().expect("a number");
        }
        // At any point of the next round.
        thread::park_timeout(std::time::Duration::from_micros(kills * 137 % 2500));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let records = Records::read(folder.path()).expect("lists");
        let found: Vec<_> = records.map(|record| number(&record.expect("right").bytes)).collect();
        assert!(found[0] >= durable, "{} < {durable}", found[0]);
        assert!(found.iter().all(|number| *number == found[0]), "{found:?}");
        assert!(found.len() == 21 || found.len() == 20 && found[0] > durable, "{found:?}");
    }
}
