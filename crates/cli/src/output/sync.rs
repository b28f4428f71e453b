//! Syncs the output to the disk while it grows.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use clap::ValueEnum;

/// How soon an answer is safe if the machine loses power. A crash of the process alone loses none at any setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Fsync {
    /// After at most 200 ms, with one sync for all answers of that time.
    #[default]
    Batch,
    /// At once, with a sync for each write.
    Always,
    /// When the system writes it. The record of what is sent does not wait for the disk either.
    Off,
}

/// With [`Fsync::Batch`], the longest time between a line and its sync.
const EVERY: Duration = Duration::from_millis(200);

/// Syncs a file that grows.
pub(super) enum Syncer {
    Always(File),
    Batch { shared: Arc<Shared>, end: Sender<()>, thread: JoinHandle<()> },
}

pub(super) struct Shared {
    file: File,
    /// Lines were written since the last sync.
    dirty: AtomicBool,
    /// A sync has failed. What is on the disk is not known, and another sync would not report it.
    failed: AtomicBool,
}

impl Syncer {
    /// `None`: nothing is synced.
    pub(super) fn start(file: &File, fsync: Fsync) -> io::Result<Option<Self>> {
        let file = file.try_clone()?;
        Ok(match fsync {
            Fsync::Off => None,
            Fsync::Always => Some(Self::Always(file)),
            Fsync::Batch => {
                let shared =
                    Arc::new(Shared { file, dirty: AtomicBool::new(false), failed: AtomicBool::new(false) });
                let (end, ended) = mpsc::channel();
                let at_work = Arc::clone(&shared);
                let work = move || {
                    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY) {
                        at_work.sync();
                    }
                    at_work.sync();
                };
                let thread = thread::Builder::new().name(String::from("sync")).spawn(work)?;
                Some(Self::Batch { shared, end, thread })
            }
        })
    }

    /// To be called after lines were written.
    pub(super) fn written(&self) -> io::Result<()> {
        match self {
            Self::Always(file) => tokio::task::block_in_place(|| file.sync_data()),
            Self::Batch { shared, .. } => {
                shared.dirty.store(true, Ordering::Release);
                shared.result()
            }
        }
    }

    /// Syncs what is left.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Always(_) => Ok(()),
            Self::Batch { shared, end, thread } => {
                drop(end);
                // The thread does not panic. If it did, standard error has the message.
                let _ = thread.join();
                shared.result()
            }
        }
    }
}

impl Shared {
    fn sync(&self) {
        if self.dirty.swap(false, Ordering::Acquire) && self.file.sync_data().is_err() {
            self.failed.store(true, Ordering::Release);
        }
    }

    fn result(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other("a sync has failed: what was written last may not be on the disk"));
        }
        Ok(())
    }
}
