//! Stores of work: one suite for all, a comparison with a simple model, and crashes of the store in a folder.

mod crash;
mod folder;
mod lost;
mod property;
#[path = "work_suite.rs"]
mod suite;

use std::time::Duration;

use outbound::work::{FolderWork, MemoryWork};
use outbound_journal::{Journal, Memory};

use suite::Tested;

impl Tested for MemoryWork {
    async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }
}

impl Tested for FolderWork {
    async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }
}

/// All of the suite.
async fn conforms<S: Tested + Clone + 'static>(mut new: impl FnMut() -> S) {
    suite::conforms(async || new()).await;
    suite::orders(async || new()).await;
    suite::waits(async || new()).await;
}

#[tokio::test(start_paused = true)]
async fn memory_conforms() {
    conforms(MemoryWork::new).await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_conforms() {
    let folders = tempfile::tempdir().expect("a folder");
    let mut number = 0;
    conforms(|| {
        number += 1;
        FolderWork::open(folders.path().join(number.to_string())).expect("opens")
    })
    .await;
}

/// With a journal whose segments are small, so that it is rewritten and split all the time.
#[tokio::test(start_paused = true)]
async fn a_folder_in_memory_conforms() {
    conforms(|| in_memory(&Memory::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_holders_on_two_threads() {
    suite::many_holders(MemoryWork::new()).await;
    suite::many_holders(in_memory(&Memory::new())).await;
}

fn in_memory(memory: &Memory) -> FolderWork {
    let journal = Journal::builder().segment_bytes(4096).open_memory(memory).expect("opens");
    FolderWork::on(journal).expect("holds work")
}
