//! Helpers to run the same tests in memory and in a folder.

use std::fs;

use outbound_journal::{Error, Journal, JournalBuilder, Memory, Records};
use tempfile::TempDir;

/// A storage for a journal, whose segments a test can read and damage.
pub(crate) enum Home {
    Folder(TempDir),
    Memory(Memory),
}

/// One of each kind.
pub(crate) fn homes() -> [Home; 2] {
    [Home::Memory(Memory::new()), Home::Folder(tempfile::tempdir().expect("a folder"))]
}

impl Home {
    pub(crate) fn open(&self, settings: &JournalBuilder) -> Result<Journal, Error> {
        match self {
            Self::Folder(folder) => settings.open(folder.path()),
            Self::Memory(memory) => settings.open_memory(memory),
        }
    }

    pub(crate) fn records(&self) -> Result<Vec<Vec<u8>>, Error> {
        let records = match self {
            Self::Folder(folder) => Records::read(folder.path()),
            Self::Memory(memory) => Records::read_memory(memory),
        };
        records?.map(|record| Ok(record?.bytes)).collect()
    }

    pub(crate) fn segments(&self) -> Vec<(u64, Vec<u8>)> {
        match self {
            Self::Memory(memory) => memory.segments(),
            Self::Folder(folder) => {
                (0..50).filter_map(|number| Some((number, fs::read(file(folder, number)).ok()?))).collect()
            }
        }
    }

    pub(crate) fn set_segment(&self, number: u64, bytes: Vec<u8>) {
        match self {
            Self::Memory(memory) => memory.set_segment(number, bytes),
            Self::Folder(folder) => fs::write(file(folder, number), bytes).expect("written"),
        }
    }

    pub(crate) fn remove_segment(&self, number: u64) {
        match self {
            Self::Memory(memory) => memory.remove_segment(number),
            Self::Folder(folder) => fs::remove_file(file(folder, number)).expect("removed"),
        }
    }

    /// Appends and commits records in a journal that is opened and closed for it.
    pub(crate) fn write(&self, settings: &JournalBuilder, records: &[&[u8]]) {
        let journal = self.open(settings).expect("opens");
        for record in records {
            journal.append(record).expect("appended");
        }
        journal.close().expect("durable");
    }
}

fn file(folder: &TempDir, number: u64) -> std::path::PathBuf {
    folder.path().join(format!("{number:020}.journal"))
}
