//! A shared quota in a folder.

use std::{
    error, fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{
    Exchange, Grant, QuotaError, QuotaStore, Row, Scope,
    clock::Clock,
    file::{Found, checksum, read, write},
};

/// So many exchanges of one store are done at a time. A process that is stopped while it holds the lock of a file takes no more
/// threads than this of every other process.
const AT_ONCE: usize = 8;

/// A quota that all processes of one machine share through a folder. A clone is another handle of the same, and so is what
/// another process opens.
///
/// Each scope has a file of its own, which an exchange locks, reads and writes: a fraction of a millisecond, on a blocking thread
/// of tokio. A process that is killed frees the lock. A file that is lost or damaged begins empty, with another generation. The
/// folder has to be on a disk of this machine: a lock that a network carries may not hold.
///
/// Its clock is the time since the machine was started, which nobody can set. After a restart of the machine the files of before
/// count as lost, since nothing in them was forced to the disk. Where the system does not tell that time (it is read from
/// `/proc`), the clock is that of the day: a step ahead brings one burst at most, and a step back stops nobody. There a loss of
/// power can lose the last exchanges. What those granted may then be granted again.
#[derive(Debug, Clone)]
pub struct FolderQuota {
    files: Arc<Files>,
    turns: Arc<Semaphore>,
}

impl FolderQuota {
    /// Opens the quotas in a folder, which is created if necessary. Any number of processes may have it open.
    ///
    /// # Errors
    ///
    /// The folder cannot be created, or the clock cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, QuotaError> {
        let folder = folder.as_ref();
        let opened = || {
            fs::create_dir_all(folder)?;
            // Later it may be named from another place.
            let files = Files { folder: folder.canonicalize()?, clock: Clock::new() };
            files.clock.now().map(|_| files)
        };
        let files =
            opened().map_err(|error| Trouble::new("opened", folder, error)).map_err(QuotaError::new)?;
        Ok(Self { files: Arc::new(files), turns: Arc::new(Semaphore::new(AT_ONCE)) })
    }
}

impl QuotaStore for FolderQuota {
    async fn exchange(&self, scope: &Scope, exchange: Exchange) -> Result<Grant, QuotaError> {
        let turn = self.turns.clone().acquire_owned().await.map_err(QuotaError::new)?;
        let (files, scope) = (self.files.clone(), scope.clone());
        let done = spawn_blocking(move || {
            // Freed when the exchange is over, also where nobody waits for it any more.
            let _turn = turn;
            files.exchange(&scope, &exchange)
        });
        done.await.map_err(QuotaError::new)?.map_err(QuotaError::new)
    }
}

#[derive(Debug)]
struct Files {
    folder: PathBuf,
    clock: Clock,
}

impl Files {
    fn exchange(&self, scope: &Scope, exchange: &Exchange) -> Result<Grant, Trouble> {
        let path = self.folder.join(format!("{:032x}.quota", checksum(scope.name.as_bytes())));
        let trouble = |what| {
            let path = &path;
            move |error| Trouble::new(what, path, error)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(trouble("opened"))?;
        // Until the file is closed, however this process ends.
        lock(&file).map_err(trouble("locked"))?;
        let mut before = Vec::new();
        file.read_to_end(&mut before).map_err(trouble("read"))?;
        // With the lock held, so that the times in the file are in order.
        let now = self.clock.now().map_err(trouble("dated"))?;
        let mut row = match read(&before, self.clock.name(), &scope.name) {
            Found::Row(row) => row,
            Found::Nothing => Row::new(scope, generation(), now),
            Found::Foreign(why) => return Err(trouble("used")(io::Error::other(why))),
        };
        let grant = row.exchange(scope, exchange, now);
        let after = write(&row, self.clock.name(), &scope.name);
        // In place: a file that was written in part has a wrong checksum, and begins empty. The rest of a longer one stays, and
        // is passed over.
        file.rewind().and_then(|()| file.write_all(&after)).map_err(trouble("written"))?;
        Ok(grant)
    }
}

fn lock(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// One that no row had before.
fn generation() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(1).max(1)
}

/// What went wrong with which file.
#[derive(Debug)]
struct Trouble {
    what: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl Trouble {
    fn new(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self { what, path: path.to_owned(), error }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be {}", self.path.display(), self.what)
    }
}

impl error::Error for Trouble {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}
