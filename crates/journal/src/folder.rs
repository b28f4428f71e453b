//! Segments as files in a folder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::disk::Disk;

const EXTENSION: &str = "journal";

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The file that holds the lock.
    lock: Mutex<Option<File>>,
    /// The segment that was written last.
    current: Mutex<Option<(u64, File)>>,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: Mutex::new(None), current: Mutex::new(None) }
    }

    fn with<T>(&self, segment: u64, act: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *current {
            Some((number, file)) if *number == segment => act(file),
            other => {
                let file = OpenOptions::new().create(true).append(true).open(self.name(segment))?;
                act(&mut other.insert((segment, file)).1)
            }
        }
    }

    /// Closes the current file, because its name will change.
    fn forget(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Disk for Folder {
    fn lock(&self) -> io::Result<bool> {
        make(&self.path)?;
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.path.join("lock"))?;
        match file.try_lock() {
            Ok(()) => {
                *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) {
        if let Some(file) = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Closing the file is not enough: a process that is just being started shares the file for a moment, and
            // the lock with it. If unlocking fails, closing is all that can be done.
            let _ = file.unlock();
        }
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            // Only names in the exact form that this crate uses. A number in another spelling is not a segment.
            numbers.extend(stem.parse().ok().filter(|number| self.name(*number) == path));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn read(&self, segment: u64, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(self.name(segment))?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }

    fn append(&self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(segment, |file| file.write_all(bytes))
    }

    fn cut(&self, segment: u64, length: u64) -> io::Result<()> {
        // It is opened again, because on Windows a file that was opened for appending cannot be cut.
        OpenOptions::new().write(true).open(self.name(segment))?.set_len(length)
    }

    fn rename(&self, segment: u64, to: u64) -> io::Result<()> {
        self.forget();
        fs::rename(self.name(segment), self.name(to))
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        self.forget();
        fs::remove_file(self.name(segment))
    }

    fn sync(&self, segment: u64) -> io::Result<()> {
        self.with(segment, |file| file.sync_data())
    }

    fn sync_names(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }

    fn name(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{segment:020}.{EXTENSION}"))
    }

    fn location(&self) -> PathBuf {
        self.path.clone()
    }
}

/// Creates a folder and those above it, and makes their names durable: a folder whose name is lost is lost with its
/// content.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if above != Path::new("") => above,
        _ => Path::new("."),
    };
    make(above)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(above),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // On other systems a folder cannot be opened as a file, and its names need no sync.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
