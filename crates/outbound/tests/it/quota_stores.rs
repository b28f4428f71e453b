//! Stores of quota in memory and in a folder: the suite of all stores, and what only files can do.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use outbound::quota_store::{Exchange, FolderQuota, Grant, MemoryQuota, QuotaError, QuotaStore, Rule, Scope};
use tempfile::TempDir;

use crate::{
    quota_processes,
    quota_suite::{self, Tested},
};

impl Tested for MemoryQuota {
    async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }

    async fn another(&self) -> Self {
        self.clone()
    }
}

/// A store with the folder it is in, and another for copies.
#[derive(Debug, Clone)]
struct Folder {
    quota: FolderQuota,
    folders: Arc<[TempDir; 2]>,
}

impl Folder {
    fn new() -> Self {
        let folders = Arc::new([(); 2].map(|()| tempfile::tempdir().expect("a folder")));
        Self { quota: FolderQuota::open(&folders[0]).expect("opens"), folders }
    }

    fn files(folder: &TempDir) -> Vec<PathBuf> {
        fs::read_dir(folder).expect("is read").map(|file| file.expect("is read").path()).collect()
    }

    fn copy(&self, from: usize, to: usize) {
        for file in Self::files(&self.folders[from]) {
            let name = file.file_name().expect("a name");
            fs::copy(&file, self.folders[to].path().join(name)).expect("is copied");
        }
    }
}

impl QuotaStore for Folder {
    async fn exchange(&self, scope: &Scope, exchange: Exchange) -> Result<Grant, QuotaError> {
        self.quota.exchange(scope, exchange).await
    }
}

impl Tested for Folder {
    async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }

    async fn another(&self) -> Self {
        Self { quota: FolderQuota::open(&self.folders[0]).expect("opens"), folders: self.folders.clone() }
    }

    async fn save(&self) -> bool {
        self.copy(0, 1);
        true
    }

    async fn put_back(&self) {
        self.copy(1, 0);
    }

    async fn lose(&self) {
        for file in Self::files(&self.folders[0]) {
            fs::remove_file(file).expect("is removed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn memory_conforms() {
    quota_suite::conforms(async || MemoryQuota::new()).await;
    quota_suite::pauses(async || MemoryQuota::new()).await;
    quota_suite::losses(async || MemoryQuota::new()).await;
    quota_suite::many(async || MemoryQuota::new()).await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_conforms() {
    quota_suite::conforms(async || Folder::new()).await;
    quota_suite::pauses(async || Folder::new()).await;
    quota_suite::losses(async || Folder::new()).await;
    quota_suite::many(async || Folder::new()).await;
}

fn scope() -> Scope {
    Scope::new("a key").rule(Rule::rate(600, Duration::from_secs(60)))
}

fn ask(seq: u64) -> Exchange {
    Exchange::new(1, seq).wanted([30]).least([1])
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).expect("is read");
    let file = files.next().expect("one").expect("is read").path();
    assert!(files.next().is_none());
    file
}

/// Whatever part of a file is damaged or missing: it begins empty, and is another generation.
#[tokio::test(start_paused = true)]
async fn a_damaged_file_begins_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let quota = FolderQuota::open(&folder).expect("opens");
    let first = quota.exchange(&scope(), ask(1)).await.expect("works");
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(quota.exchange(&scope(), ask(2)).await.expect("works").granted, [30]);
    let file = only_file(folder.path());
    let whole = fs::read(&file).expect("is read");
    let version = whole.iter().position(|byte| *byte == b' ').expect("a space") + 1;
    let mut damaged = vec![Vec::new(), vec![b'x'; 10_000], vec![0; whole.len()], vec![255; whole.len()]];
    damaged.extend((0..whole.len()).step_by(7).map(|length| whole[..length].to_vec()));
    damaged.extend((0..whole.len()).filter(|at| *at != version).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    }));
    for (number, bytes) in damaged.into_iter().enumerate() {
        fs::write(&file, &bytes).expect("is written");
        let grant = quota.exchange(&scope(), ask(3)).await.expect("works");
        assert_eq!((&grant.granted[..], grant.holders), (&[0][..], 1), "{number}");
        assert_ne!(grant.generation, first.generation);
    }
    // The whole one, with the rest of a longer one behind it, is as it was.
    fs::write(&file, [&whole[..], b"1 2 3"].concat()).expect("is written");
    let grant = quota.exchange(&scope(), ask(3)).await.expect("works");
    assert_eq!((&grant.granted[..], grant.generation), (&[30][..], first.generation));
}

/// Nothing of a file of before counts: what was granted after its last write to the disk is not in it.
#[tokio::test(start_paused = true)]
async fn a_file_of_before_a_restart_of_the_machine_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let quota = FolderQuota::open(&folder).expect("opens");
    let first = quota.exchange(&scope(), ask(1)).await.expect("works");
    let file = only_file(folder.path());
    let text = fs::read_to_string(&file).expect("is read");
    let (_, body) = text.split_once('\n').expect("lines");
    let (clock, _) = body.split_once('\n').expect("lines");
    let before = format!("z{}", &clock[1..]);
    let body = body.replacen(clock, &before, 1);
    fs::write(&file, with_head(1, &body)).expect("is written");
    tokio::time::advance(Duration::from_secs(100)).await;
    let grant = quota.exchange(&scope(), ask(2)).await.expect("works");
    assert_eq!((&grant.granted[..], grant.holders), (&[0][..], 1));
    assert_ne!(grant.generation, first.generation);
}

/// A file's first line, as the store writes it.
fn with_head(version: u32, body: &str) -> String {
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let sum = body.bytes().fold(start, |sum, byte| (sum ^ u128::from(byte)).wrapping_mul((1 << 88) + 0x13b));
    format!("outbound-quota {version} {} {sum:032x}\n{body}", body.len())
}

#[tokio::test]
async fn what_is_not_its_own_stays_as_it_is_and_errors_name_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let quota = FolderQuota::open(&folder).expect("opens");
    quota.exchange(&scope(), ask(1)).await.expect("works");
    let file = only_file(folder.path());
    let text = fs::read_to_string(&file).expect("is read");
    let (_, body) = text.split_once('\n').expect("lines");
    assert_eq!(text, with_head(1, body), "the file has the form that the tests know");
    let newer = with_head(2, "anything");
    let other = with_head(1, &body.replace("a key", "b key"));
    for foreign in [newer, other] {
        fs::write(&file, &foreign).expect("is written");
        let error = quota.exchange(&scope(), ask(2)).await.expect_err("is foreign");
        let source = std::error::Error::source(&error).expect("a source");
        assert!(source.to_string().contains(&*file.to_string_lossy()), "{source}");
        assert_eq!(fs::read_to_string(&file).expect("is read"), foreign);
    }
    fs::remove_file(&file).expect("is removed");
    fs::create_dir(&file).expect("is created");
    let error = quota.exchange(&scope(), ask(2)).await.expect_err("is a folder");
    let source = std::error::Error::source(&error).expect("a source");
    assert!(source.to_string().contains(&*file.to_string_lossy()), "{source}");
    let under_a_file = folder.path().join("file");
    fs::write(&under_a_file, "").expect("is written");
    let error = FolderQuota::open(under_a_file.join("folder")).expect_err("is no folder");
    let source = std::error::Error::source(&error).expect("a source");
    assert!(source.to_string().contains("cannot be opened"), "{source}");
}

/// One that holds the lock for long keeps the others waiting, and nothing is lost when it lets go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_held_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let quota = FolderQuota::open(&folder).expect("opens");
    quota.exchange(&scope(), ask(1)).await.expect("works");
    let file = fs::File::open(only_file(folder.path())).expect("opens");
    file.lock().expect("is locked");
    // Many callers give up, and what they began ends later.
    for seq in 2..40 {
        let late = tokio::time::timeout(Duration::from_millis(2), quota.exchange(&scope(), ask(seq))).await;
        assert!(late.is_err());
    }
    // Other files are not concerned, as long as not all turns are taken.
    file.unlock().expect("is unlocked");
    let grant = quota.exchange(&scope(), Exchange::new(2, 1)).await.expect("works");
    assert_eq!(grant.holders, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_folder() {
    if let Some(folder) = quota_processes::place() {
        return quota_processes::hold(FolderQuota::open(folder).expect("opens")).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_str().expect("is text");
    quota_processes::share("quota_stores::processes_share_a_folder", place).await;
}
