//! The file of answers: lines in the shape of an OpenAI batch output file, written as they complete, and taken up again by a
//! later run.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use outbound::Outcome;

use self::sync::Syncer;
pub(crate) use self::{
    earlier::{Changed, Earlier, State},
    line::Origin,
    sync::Fsync,
};
use crate::exit::Stop;

mod earlier;
mod line;
mod sync;

/// How a run treats what its output holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It goes on from there.
    Resume,
    /// It goes on from there, and sends again what failed.
    RetryFailed,
    /// It begins anew. The old file gets another name, or none where nobody asked for it.
    Fresh { keep: bool },
}

/// An output that was looked at, and not changed.
pub(crate) struct Found {
    path: PathBuf,
    existing: Existing,
    /// `None`: it is not there, or it is no regular file.
    file: Option<File>,
    pub(crate) earlier: Earlier,
}

/// Where the answers go.
pub(crate) struct Output {
    writer: Writer,
    name: String,
    /// Lines that are not written yet.
    pending: Vec<u8>,
    /// There was no room for them.
    is_full: bool,
    /// What no line may hold: a server may say a key in its answer.
    keys: Vec<String>,
    /// Where the file is now that was there before.
    pub(crate) kept: Option<PathBuf>,
}

enum Writer {
    /// A regular file, and how many bytes of it are whole lines.
    File { file: File, length: u64, syncer: Option<Syncer> },
    /// A pipe, a device, a terminal: what was written to it cannot be read again.
    Stream(Box<dyn Write + Send>),
}

impl Found {
    /// Looks at an output, and locks it. Nothing is changed, not even made.
    ///
    /// # Errors
    ///
    /// Where another run writes it, and where it holds what this command did not write.
    pub(crate) fn look(path: &Path, existing: Existing) -> Result<Self, Stop> {
        let mut found = Self { path: path.to_owned(), existing, file: None, earlier: Earlier::default() };
        if path.as_os_str() == "-" || !path.is_file() {
            return Ok(found);
        }
        let name = path.display().to_string();
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(path)
            .map_err(|error| unwritable(&name, &error))?;
        lock(&file, path, &name)?;
        if let Existing::Resume | Existing::RetryFailed = existing {
            let retry_failed = existing == Existing::RetryFailed;
            found.earlier = Earlier::read(&mut file, &name, retry_failed)?;
        }
        found.file = Some(file);
        Ok(found)
    }

    /// Whether answers can be known again in a later run: whether it is a file, or will be.
    pub(crate) fn can_be_resumed(&self) -> bool {
        self.path.as_os_str() != "-" && (self.file.is_some() || !self.path.exists())
    }

    /// Makes the output ready to be written: what a crash cut is mended, and what is sent again is taken out.
    pub(crate) fn begin(self, fsync: Fsync) -> Result<(Output, Earlier), Stop> {
        let name = self.path.display().to_string();
        let Self { path, existing, file, earlier } = self;
        if path.as_os_str() == "-" {
            let writer = Writer::Stream(Box::new(io::stdout()));
            return Ok((Output::new(writer, String::from("standard output")), earlier));
        }
        let error = |error: io::Error| unwritable(&name, &error);
        let mut kept = None;
        let file = match (file, existing) {
            (None, _) => new_file(&path, &name)?,
            (Some(file), Existing::Fresh { keep: false }) => {
                file.set_len(0).map_err(error)?;
                file
            }
            (Some(file), Existing::Fresh { keep: true }) => {
                if file.metadata().map_err(error)?.len() > 0 {
                    let old = free_name(&path);
                    fs::rename(&path, &old).map_err(error)?;
                    kept = Some(old);
                    new_file(&path, &name)?
                } else {
                    file
                }
            }
            (Some(mut file), Existing::RetryFailed | Existing::Resume) => {
                if earlier.has_lines_to_drop() {
                    file = without_what_is_sent_again(file, &path, &earlier, &name)?;
                }
                mend(&mut file, &earlier).map_err(error)?;
                file
            }
        };
        let length = file.metadata().map_err(error)?;
        let writer = if length.is_file() {
            let syncer = Syncer::start(&file, fsync).map_err(error)?;
            Writer::File { file, length: length.len(), syncer }
        } else {
            Writer::Stream(Box::new(file))
        };
        Ok((Output { kept, ..Output::new(writer, name) }, earlier))
    }
}

impl Output {
    fn new(writer: Writer, name: String) -> Self {
        Self { writer, name, pending: Vec::new(), is_full: false, keys: Vec::new(), kept: None }
    }

    /// From now on none of these is in a line.
    pub(crate) fn hide(&mut self, keys: Vec<String>) {
        self.keys = keys;
    }

    /// Adds the line of an outcome to those that [`write`](Self::write) writes.
    pub(crate) fn add(&mut self, outcome: &Outcome, origin: Origin) {
        line::put(&mut self.pending, outcome, origin, &self.keys);
    }

    /// Writes all lines that were added, whole, before it returns. After an error the file ends with a whole line, and what
    /// was not written is still there to be tried again.
    pub(crate) fn write(&mut self) -> Result<(), Stop> {
        let written = self.try_to_write();
        let kind = written.as_ref().err().map(io::Error::kind);
        self.is_full = matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
        written.map_err(|error| unwritable(&self.name, &error))
    }

    fn try_to_write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        match &mut self.writer {
            Writer::Stream(writer) => {
                writer.write_all(&self.pending)?;
                writer.flush()?;
            }
            Writer::File { file, length, syncer } => {
                if let Err(error) = file.write_all(&self.pending) {
                    // Without this the next line would follow half a one.
                    file.set_len(*length)?;
                    return Err(error);
                }
                *length += self.pending.len() as u64;
                if let Some(syncer) = syncer {
                    syncer.written()?;
                }
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// Whether lines can be written to it later that could not be written now.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.writer, Writer::File { .. })
    }

    /// Whether lines wait for room on the disk, which may come back.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.is_full && self.is_file()
    }

    /// Makes all that was written durable.
    pub(crate) fn finish(self) -> Result<(), Stop> {
        let Self { writer, name, .. } = self;
        match writer {
            Writer::File { syncer: Some(syncer), .. } => {
                syncer.finish().map_err(|error| unwritable(&name, &error))
            }
            Writer::File { syncer: None, .. } | Writer::Stream(_) => Ok(()),
        }
    }
}

/// The path that is used when none is given: `IN.results.jsonl` beside the input.
pub(crate) fn default_path(input: &Path, simulate: bool) -> PathBuf {
    if input.as_os_str() == "-" {
        return PathBuf::from("-");
    }
    input.with_extension(if simulate { "simulated.jsonl" } else { "results.jsonl" })
}

/// Where a file is written that will take the place of another. Nobody else uses such a name.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".outbound-new");
    PathBuf::from(beside)
}

fn unwritable(name: &str, error: &io::Error) -> Stop {
    Stop::Output(format!("{name}: {error}"))
}

/// Keeps a second run from the same file, be it under another name.
fn lock(file: &File, path: &Path, name: &str) -> Result<(), Stop> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Stop::Output(format!(
            "{name}: another run writes it; wait for its end, or give another --output"
        ))),
        // The run that had it before may have put another file in its place.
        Ok(()) if !has_name(file, path) => Err(overtaken(name)),
        // Not every file system has locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn new_file(path: &Path, name: &str) -> Result<File, Stop> {
    // Of a named pipe we would be the reader ourselves, and of a device it may not be allowed.
    let can_be_read = !path.exists() || path.is_file();
    let file = OpenOptions::new().read(can_be_read).append(true).create(can_be_read).open(path);
    let file = file.map_err(|error| unwritable(name, &error))?;
    let metadata = file.metadata().map_err(|error| unwritable(name, &error))?;
    if metadata.is_file() {
        lock(&file, path, name)?;
        if metadata.len() > 0 {
            return Err(overtaken(name));
        }
    }
    Ok(file)
}

/// Another run came between looking at the output and using it.
fn overtaken(name: &str) -> Stop {
    Stop::Output(format!("{name}: another run has written it meanwhile; the same command goes on from there"))
}

/// Whether an open file still has the name by which it was opened.
#[cfg(unix)]
fn has_name(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(file), Ok(named)) => (file.dev(), file.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// The standard library has no stable way to ask there.
#[cfg(not(unix))]
fn has_name(_file: &File, _path: &Path) -> bool {
    true
}

/// The name with the first number behind it that no file has.
fn free_name(path: &Path) -> PathBuf {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    (1..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| numbered(0))
}

/// Cuts a line that has no end, and ends one that has all but that.
fn mend(file: &mut File, earlier: &Earlier) -> io::Result<()> {
    if earlier.has_lines_to_drop() {
        return Ok(());
    }
    file.set_len(earlier.whole)?;
    if earlier.whole > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(earlier.whole - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// Puts a file without the lines that are sent again in the place of the old one, at once or not at all.
fn without_what_is_sent_again(
    mut old: File,
    path: &Path,
    earlier: &Earlier,
    name: &str,
) -> Result<File, Stop> {
    let mut copy = || {
        // A link stays one: the file that it names is replaced.
        let path = path.canonicalize()?;
        let beside = beside(&path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
        // Whoever may not read the old one may not read this.
        file.set_permissions(old.metadata()?.permissions())?;
        old.seek(SeekFrom::Start(0))?;
        earlier.copy(&mut old, io::BufWriter::new(&file))?;
        file.sync_all()?;
        drop(file);
        let file = OpenOptions::new().read(true).append(true).open(&beside)?;
        // Locked before it has the name that others look for.
        let _ = file.try_lock();
        fs::rename(&beside, path)?;
        Ok(file)
    };
    copy().map_err(|error: io::Error| unwritable(name, &error))
}

#[cfg(test)]
mod tests;
