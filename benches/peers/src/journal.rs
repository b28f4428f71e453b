//! Durable puts of 2 KiB: the journal beside redb and `SQLite`, and beside a bare file.
//!
//! All wait for the device (`SQLite`: WAL with `synchronous = FULL`). The peers have the best case of a group commit: one
//! thread that puts the whole batch into one transaction. The rounds of all are interleaved, and a ratio is that of
//! one round. `-- journal 1000000` says how many records are recovered; the folder is that for temporary files.

use std::{fs::File, io::Write, path::Path, sync::Arc, time::Duration};

use outbound_journal::Journal;
use redb::{Database, TableDefinition};
use rusqlite::Connection;
use tokio::{runtime::Runtime, time::Instant};

use crate::{
    case::Kind,
    output::{self, Measure, full_or_quick, spread},
};

/// In a full run, and in a quick one.
const ROUNDS: [usize; 2] = [9, 3];
const PRODUCERS: u64 = 256;
const RECORD: usize = 2048;
const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

/// Puts so many batches of so many records each, durable one after the other.
type Put<'a> = Box<dyn FnMut(u64, u64) + 'a>;

pub(crate) fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let journal = Arc::new(Journal::builder().open(folder.path().join("journal")).expect("opens"));
    let many = (
        "journal/256 producers",
        full_or_quick(60, 20),
        PRODUCERS,
        vec![
            ("journal, 256 tasks", producers(&runtime, journal.clone())),
            ("journal, one thread", in_journal(&journal)),
            ("redb", in_redb(&folder.path().join("redb"))),
            ("SQLite", in_sqlite(&folder.path().join("sqlite"))),
        ],
    );
    let one = (
        "journal/one producer",
        full_or_quick(300, 100),
        1,
        vec![
            ("journal", in_journal(&journal)),
            ("a file, write and fdatasync", in_file(&folder.path().join("file"))),
            ("redb", in_redb(&folder.path().join("redb 1"))),
            ("SQLite", in_sqlite(&folder.path().join("sqlite 1"))),
        ],
    );
    for (title, batches, size, mut all) in [many, one] {
        table(title, batches, size, &mut all);
    }
    drop(journal);
    recover(folder.path());
}

fn table(title: &str, batches: u64, size: u64, all: &mut [(&str, Put<'_>)]) {
    // The first of each makes files grow, and does not count.
    all.iter_mut().for_each(|(_, put)| put(batches / 4, size));
    let mut rates = vec![Vec::new(); all.len()];
    let rounds = full_or_quick(ROUNDS[0], ROUNDS[1]);
    for _ in 0..rounds {
        for ((_, put), rates) in all.iter_mut().zip(&mut rates) {
            let start = Instant::now();
            put(batches, size);
            rates.push(size as f64 * batches as f64 / start.elapsed().as_secs_f64());
        }
    }
    println!(
        "{title}: records per second, and the journal's divided by it: median (lowest to highest of {rounds})\n"
    );
    output::about(
        title,
        "Records of 2 KiB that are on the device, a second. The peers have one thread that puts a batch.",
    );
    println!("{:<30} {:>9} {:>22}", "", "rate", "ratio");
    for ((name, _), own) in all.iter().zip(&rates) {
        let ratios: Vec<f64> = rates[0].iter().zip(own).map(|(ours, own)| ours / own).collect();
        let rates = spread(own.iter().copied());
        let [least, middle, most] = spread(ratios);
        println!("{name:<30} {:>9.0} {middle:>7.2} ({least:.2} to {most:.2})", rates[1]);
        let kind = match name {
            name if name.starts_with("journal") => Kind::Ours,
            name if name.starts_with("a file") => Kind::Floor,
            _ => Kind::Peer,
        };
        output::figure(title, name, kind, Measure("rate", "records/s", "higher"), rates);
        output::figure(title, name, kind, Measure("ours / it", "", ""), [least, middle, most]);
    }
    println!();
}

/// Each of as many tasks as a batch has records puts one, waits until it is durable, and puts the next.
fn producers<'a>(runtime: &'a Runtime, journal: Arc<Journal>) -> Put<'a> {
    Box::new(move |batches, tasks| {
        let put = |journal: Arc<Journal>| async move {
            for number in 0..batches {
                journal.append(&record(number)).expect("appended");
                journal.committed().await.expect("durable");
            }
        };
        let tasks: Vec<_> = (0..tasks).map(|_| runtime.spawn(put(journal.clone()))).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("no panic");
            }
        });
    })
}

fn in_journal(journal: &Arc<Journal>) -> Put<'static> {
    let journal = journal.clone();
    Box::new(move |batches, size| {
        for batch in 0..batches {
            (0..size).for_each(|number| drop(journal.append(&record(batch * size + number))));
            journal.commit().expect("durable");
        }
    })
}

fn in_file(path: &Path) -> Put<'static> {
    let mut file = File::create(path).expect("a file");
    Box::new(move |batches, size| {
        for batch in 0..batches {
            let all: Vec<_> = (0..size).flat_map(|number| record(batch * size + number)).collect();
            file.write_all(&all).expect("written");
            file.sync_data().expect("durable");
        }
    })
}

fn in_redb(path: &Path) -> Put<'static> {
    let database = Database::create(path).expect("a database");
    let mut key = 0;
    Box::new(move |batches, size| {
        for _ in 0..batches {
            let transaction = database.begin_write().expect("begins");
            let mut table = transaction.open_table(TABLE).expect("a table");
            for _ in 0..size {
                key += 1;
                table.insert(key, &record(key)[..]).expect("put");
            }
            drop(table);
            transaction.commit().expect("durable");
        }
    })
}

fn in_sqlite(path: &Path) -> Put<'static> {
    let mut database = Connection::open(path).expect("a database");
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        CREATE TABLE records (key INTEGER PRIMARY KEY, bytes BLOB NOT NULL)";
    database.execute_batch(settings).expect("a table");
    Box::new(move |batches, size| {
        for _ in 0..batches {
            let transaction = database.transaction().expect("begins");
            let mut insert = transaction.prepare("INSERT INTO records (bytes) VALUES (?1)").expect("right");
            for number in 0..size {
                insert.execute([&record(number)[..]]).expect("put");
            }
            drop(insert);
            transaction.commit().expect("durable");
        }
    })
}

fn record(number: u64) -> [u8; RECORD] {
    let mut bytes = [b'x'; RECORD];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// How long it takes to open a journal with many records, which the system has just written.
fn recover(folder: &Path) {
    let records = output::arguments().get(1).and_then(|records| records.parse().ok());
    let records = records.unwrap_or(full_or_quick(1_000_000, 100_000));
    let path = folder.join("large");
    let journal = Journal::builder().open(&path).expect("opens");
    let start = Instant::now();
    (0..records).for_each(|number| drop(journal.append(&record(number))));
    journal.close().expect("durable");
    let written = start.elapsed();
    let opened = |_| {
        let start = Instant::now();
        let journal = Journal::builder().open(&path).expect("opens");
        assert_eq!(journal.found_records(), records);
        start.elapsed()
    };
    let times: Vec<Duration> = (0..3).map(opened).collect();
    let seconds = spread(times.iter().map(Duration::as_secs_f64));
    let group = "journal/opening";
    output::about(
        group,
        &format!("A journal of {records} records of 2 KiB is opened; the system has its pages."),
    );
    output::figure(group, "journal", Kind::Ours, Measure("time", "s", "lower"), seconds);
    println!("{records} records written in {written:.2?}, and opened three times in {times:.2?}\n");
}
