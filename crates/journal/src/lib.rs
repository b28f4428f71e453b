//! An append-only log of records that survives a crash.
//!
//! A [`Journal`] takes bytes and gives them back in order. A thread of its own writes them, and ends with it; no
//! async runtime is needed. [`Journal::append`] only copies. [`Journal::commit`] blocks until all is durable, and
//! [`Journal::committed`] is a future that waits for the same.
//!
//! # Example
//!
//! ```
//! use outbound_journal::{Journal, Records};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let journal = Journal::builder().open(folder)?;   // makes the folder, or cuts a torn end
//! journal.append(b"sent 1")?;
//! journal.append(b"sent 2")?;
//! journal.commit()?;                                // both are durable: one sync
//! journal.close()?;
//!
//! for record in Records::read(folder)? {
//!     let record = record?;
//!     println!("{} {:?}", record.position, record.bytes);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! | when | then |
//! |---|---|
//! | a commit returned | its records are there after a crash, in order (with [`Fsync::Off`]: after a crash of the process) |
//! | the end is incomplete or wrong, with no right record and no mark behind it | opening cuts it: [`Journal::cut_bytes`] says how much |
//! | a wrong record has a right one or a mark behind it | [`Error::Damaged`] names file and offset, and nothing is changed |
//! | a [rewrite](Journal::rewrite) is under way | a crash leaves all of the old content, or exactly the new one |
//! | a second writer opens the folder | [`Error::Locked`]; readers need no lock |
//! | a write or a sync failed | [`Error::Failed`], until the journal is opened again: nothing is tried twice |
//! | the disk is full | writing fails, [`Records`] still reads |
//!
//! Each commit ends with a mark, which is written with its records and costs no sync of its own. With it, damage to the
//! last committed record is told from a crash while it was written, too; but a last file that became shorter is not. Records
//! that were written but not committed when the power went may be there in part: if a later one is there and an earlier
//! one is not, that is reported as damage, too.
//!
//! # The format
//!
//! A folder has a file `lock`, and segments `00000000000000000001.journal` and so on. The journal begins with the last
//! segment whose header says so, else with number 1. From there on numbers have no gap; what is before it was left by a
//! rewrite that did not end, and so was number 0. All integers are little-endian, sums are CRC-32 (IEEE).
//!
//! | part | bytes | is |
//! |---|---|---|
//! | header | 8 | `outbound` |
//! | | 2 | version of the format: 1 |
//! | | 2 | 1 if the journal begins with this segment, else 0 |
//! | | 4 | the largest record of this segment, in bytes |
//! | | 8 | length of the segment before in bytes, 0 if the journal begins here |
//! | | 4 | sum of the 24 bytes before |
//! | each record | 4 | length of the payload |
//! | | 4 | sum of: the segment's number (8 bytes), the record's offset in the segment (8 bytes), the length (4 bytes), the payload; 1 if that is 0 |
//! | | length | payload |
//! | each mark | 4 | `0xffffffff` in the place of a length |
//! | | 4 | sum, as that of a record without a payload |
//!
//! The place is in the sum, so that a record copied to elsewhere, or inside of another record, is not taken for one;
//! no sum is 0, so that zeros are not, either. A rewrite makes its segment under number 0, syncs it and gives it the next
//! number; then it removes those before it, oldest first.
//! A segment is synced before the next one is made: only the last one can have a torn end.

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
