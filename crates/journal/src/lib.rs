//! An append-only log of records that survives a crash.
//!
//! A program that is killed in the middle of its work must know afterwards what it had done. A plain file does not
//! say so reliably: its end may be torn, its bytes may not be on the disk yet, and damage looks like data.
//!
//! A journal takes records of bytes and gives them back in order. Each record has a checksum, and a record that was
//! committed is there after a crash. A thread writes the records, so no async runtime is needed.
//!
//! ```
//! use outbound_journal::{Journal, Records};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let folder = tempfile::tempdir()?;
//!     let journal = Journal::builder().open(folder.path())?;   // creates the journal, or cuts its torn end
//!     journal.append(b"sent 1")?;
//!     journal.append(b"sent 2")?;
//!     journal.commit()?;                                       // one sync makes both durable
//!     journal.close()?;
//!
//!     let records: Result<Vec<_>, _> = Records::read(folder.path())?.collect();
//!     assert_eq!(records?[1].bytes, b"sent 2");
//!     Ok(())
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add tempfile
//! ```
//!
//! # What is in it
//!
//! | to | use |
//! |---|---|
//! | open a journal, with its settings | [`Journal::builder`], [`JournalBuilder`] |
//! | add a record, without waiting for the disk | [`Journal::append`] |
//! | wait until records are durable, with a thread or in async code | [`Journal::commit`], [`Journal::committed`] |
//! | choose when bytes are synced | [`Fsync`] |
//! | read all records, or one | [`Records`], [`Journal::read`] |
//! | replace the whole content at once | [`Journal::rewrite`] |
//! | test without a disk, with faults | [`Memory`] |
//!
//! # Guarantees
//!
//! | when | then |
//! |---|---|
//! | a commit has returned | its records are there after a crash, in order (with [`Fsync::Off`]: after a crash of the process) |
//! | the end is incomplete or wrong, and no correct record or mark follows | opening cuts it; [`Journal::cut_bytes`] says how much |
//! | a wrong record is followed by a correct record or a mark | [`Error::Damaged`] names file and offset, and nothing is changed |
//! | a [rewrite](Journal::rewrite) is interrupted by a crash | all of the old content is there, or exactly the new one |
//! | a second writer opens the folder | [`Error::Locked`]; readers need no lock |
//! | a write or a sync has failed | [`Error::Failed`] until the journal is opened again: nothing is tried twice |
//! | the disk is full | writing fails, and [`Records`] still reads |
//!
//! - **Cancel safety.** Dropping the future of [`Journal::committed`] removes its waker. A sync that is under way
//!   continues. Dropping a journal writes and syncs what was appended.
//! - **Fairness.** Records are written in the order of their appends. All that wait for a commit share one sync.
//! - **Time.** No clock is read, except to wait for more commits with [`Fsync::Batch`].
//! - **Panics.** No content of a file causes a panic.
//!
//! Each commit ends with a mark, which is written with the records and needs no sync of its own. Because of the mark,
//! damage to the last committed record is not taken for a crash during its write. A last file that became shorter is
//! not detected. A power failure may leave only a part of the records that were written and not committed. If a later
//! one is there and an earlier one is not, this is reported as damage.
//!
//! # The format
//!
//! A folder has a file `lock`, and segments `00000000000000000001.journal` and so on. The journal begins with the
//! last segment whose header says so, or else with number 1. From there on the numbers have no gap. Segments before
//! it were left by a rewrite that did not end, and so was number 0. All integers are little-endian. Checksums are
//! CRC-32 (IEEE).
//!
//! | part | bytes | is |
//! |---|---|---|
//! | header | 8 | `outbound` |
//! | | 2 | version of the format: 1 |
//! | | 2 | 1 if the journal begins with this segment, else 0 |
//! | | 4 | the largest record of this segment, in bytes |
//! | | 8 | length of the segment before in bytes, 0 if the journal begins here |
//! | | 4 | checksum of the 24 bytes before |
//! | each record | 4 | length of the payload |
//! | | 4 | checksum of: the segment's number (8 bytes), the record's offset in the segment (8 bytes), the length (4 bytes), the payload; 1 if that is 0 |
//! | | length | payload |
//! | each mark | 4 | `0xffffffff` in place of a length |
//! | | 4 | checksum, as that of a record without a payload |
//!
//! The checksum includes the position. So a copy of a record at another position, or inside another record, is not
//! taken for a record. No checksum is 0, so zeros are not a record either. A rewrite writes its segment under number
//! 0, syncs it, and renames it to the next number. Then it removes the segments before it, oldest first. A segment is
//! synced before the next one is created, so only the last one can have a torn end.
//!
//! # What it does not do
//!
//! - It has no keys, no index and no queries: records are read in order, or at a known [`Position`].
//! - It does not remove single records. Use [`Journal::rewrite`] to drop the old ones.
//! - It does not encrypt or compress.
//! - It has one writer for each folder. Several processes cannot append to one journal.
//!
//! # Coming from redb, `SQLite`, your own file
//!
//! | there | here |
//! |---|---|
//! | redb: `db.begin_write()?`, `table.insert(..)`, `txn.commit()?` | [`Journal::append`] for each record, then [`Journal::commit`] |
//! | redb: `txn.set_durability(Durability::None)` | [`Fsync::Off`] for the journal |
//! | redb: `db.compact()` | [`Journal::rewrite`] with the records to keep |
//! | `SQLite`: `INSERT` in a transaction, `PRAGMA synchronous` | [`Journal::append`] and [`Journal::commit`], [`Fsync`] |
//! | `SQLite`: `SELECT .. ORDER BY rowid` | [`Records::read`] |
//! | `SQLite`: `SQLITE_BUSY` | [`Error::Locked`] |
//! | `file.write_all(line)`, `file.sync_all()` | [`Journal::append`], [`Journal::commit`]: one sync for all that wait |
//! | a last line that is cut, found by the parser | cut when the journal is opened: [`Journal::cut_bytes`] |
//! | write to a temporary file, then `rename` | [`Journal::rewrite`] |
//!
//! # Cost
//!
//! There are no features, and one thread for each open journal. An append copies the record into memory; it waits
//! only while 8 MiB are not written yet. A commit costs one sync, shared by all that wait. `benches/RESULTS.md` in
//! the repository has the measured costs.
#![forbid(unsafe_code)]

mod committed;
mod disk;
mod error;
mod folder;
mod format;
mod journal;
mod memory;
mod records;
mod rewrite;
mod segment;
mod writer;

pub use committed::Committed;
pub use error::Error;
pub use journal::{Fsync, Journal, JournalBuilder, Position};
pub use memory::Memory;
pub use records::{Record, Records};
