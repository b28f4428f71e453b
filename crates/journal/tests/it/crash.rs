//! Tests: a process that is killed while it writes, and many threads that write at the same time.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    thread,
};

use outbound_journal::{Error, Fsync, Journal, Records};

use crate::support::homes;

const FOLDER: &str = "OUTBOUND_JOURNAL_TEST_FOLDER";

/// The other process: it appends numbers forever, and prints each one that is durable. Run alone, it does nothing.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let journal = Journal::builder().segment_bytes(1000).open(folder).expect("opens");
    for number in journal.found_records().. {
        journal.append(&number.to_be_bytes()).expect("appended");
        journal.commit().expect("durable");
        // Not `println`, because the test harness captures it.
        writeln!(std::io::stderr(), "durable {number}").expect("somebody reads");
    }
}

#[test]
fn what_was_committed_survives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut durable = 0;
    for _ in 0..5 {
        let mut child = Command::new(env::current_exe().expect("this binary"))
            .args(["crash::the_process_that_is_killed", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        for _ in 0..100 {
            let line = lines.next().expect("goes on").expect("text");
            durable = line.strip_prefix("durable ").expect("a number").parse().expect("a number");
        }
        assert!(matches!(Journal::builder().open(folder.path()), Err(Error::Locked { .. })));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let records: Vec<_> =
            Records::read(folder.path()).expect("lists").map(|record| record.expect("right").bytes).collect();
        assert!(records.len() as u64 > durable);
        let expected = (0..records.len() as u64).map(|number| number.to_be_bytes().to_vec());
        assert!(records.iter().cloned().eq(expected));
        let journal = Journal::builder().open(folder.path()).expect("the lock died with its owner");
        assert_eq!(journal.found_records(), records.len() as u64);
    }
    assert!(durable >= 499);
}

#[test]
fn threads_write_at_once_and_each_keeps_its_order() {
    for home in homes() {
        for fsync in [Fsync::Always, Fsync::Off] {
            let journal = home.open(&Journal::builder().segment_bytes(500).fsync(fsync)).expect("opens");
            thread::scope(|scope| {
                for number in 0..8_u8 {
                    let journal = &journal;
                    scope.spawn(move || {
                        for count in 0..50_u8 {
                            journal.append(&[number, count]).expect("appended");
                            journal.commit().expect("durable");
                        }
                    });
                }
            });
        }
        let records = home.records().expect("reads");
        assert_eq!(records.len(), 800);
        for number in 0..8 {
            let counts: Vec<_> =
                records.iter().filter(|record| record[0] == number).map(|record| record[1]).collect();
            assert!(counts.iter().copied().eq((0..50).chain(0..50)));
        }
    }
}

#[test]
fn readers_meet_no_damage_while_it_is_written() {
    for home in homes() {
        let journal = home.open(&Journal::builder().fsync(Fsync::Off)).expect("opens");
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for count in 0..30_000_u32 {
                    journal.append(&count.to_be_bytes()).expect("appended");
                }
                journal.commit().expect("written");
            });
            while !writer.is_finished() {
                let found = journal.records().expect("lists").map(|record| record.expect("right").bytes);
                assert!(found.enumerate().all(|(count, bytes)| bytes == (count as u32).to_be_bytes()));
            }
        });
        assert_eq!(home.records().expect("reads").len(), 30_000);
    }
}

#[test]
fn a_folder_is_made_with_those_above_it_and_other_files_are_let_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("a").join("b");
    let journal = Journal::builder().open(&deep).expect("opens");
    fs::write(deep.join("1.journal"), b"another spelling").expect("written");
    fs::write(deep.join("notes"), b"of somebody").expect("written");
    journal.append(b"one").expect("appended");
    journal.close().expect("durable");
    assert_eq!(Records::read(&deep).expect("lists").count(), 1);
    assert_eq!(fs::read(deep.join("1.journal")).expect("there"), b"another spelling");
}
