//! The output file. Each line has the shape of a line of an OpenAI batch output file. Lines are written as requests end, and a
//! later run goes on with the same file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use outbound::Outcome;

use self::sync::Syncer;
pub(crate) use self::{
    earlier::{Changed, Earlier, State, is_its_own},
    line::{Origin, put},
    lines::{Entry, Lines},
    sync::Fsync,
};
use crate::exit::Stop;

mod earlier;
mod line;
mod lines;
mod sync;

/// What a run does with an output that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It goes on, and sends only requests that have no line.
    Resume,
    /// It goes on, and also sends again what failed.
    RetryFailed,
    /// An export replaces it.
    Export,
    /// It begins anew. With `keep` the old file gets another name, else its content is lost.
    Fresh { keep: bool },
}

/// An output that was read and locked, and is not changed yet.
pub(crate) struct Found {
    path: PathBuf,
    existing: Existing,
    /// `None`: it does not exist, or it is no regular file.
    file: Option<File>,
    pub(crate) earlier: Earlier,
}

/// Where the answers go.
pub(crate) struct Output {
    writer: Writer,
    name: String,
    /// Lines that are not written yet.
    pending: Vec<u8>,
    /// The disk had no room for them.
    is_full: bool,
    /// Keys to replace in every line: a server may repeat a key in its answer.
    keys: Vec<String>,
    /// The new name of the old file.
    pub(crate) kept: Option<PathBuf>,
}

enum Writer {
    /// A regular file, and how many bytes of it whole lines take.
    File { file: File, length: u64, syncer: Option<Syncer> },
    /// A pipe, a device or a terminal: what was written to it cannot be read back.
    Stream(Box<dyn Write + Send>),
}

impl Found {
    /// Reads an output and locks it. It changes nothing, and creates no file.
    ///
    /// # Errors
    ///
    /// Where another run writes to it, and where it holds lines that this command did not write.
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
        if !matches!(existing, Existing::Fresh { .. }) {
            found.earlier = Earlier::read(&mut file, &name, existing)?;
        }
        found.file = Some(file);
        Ok(found)
    }

    /// Whether a later run can go on with it: it is a regular file, or will be one.
    pub(crate) fn can_be_resumed(&self) -> bool {
        self.path.as_os_str() != "-" && (self.file.is_some() || !self.path.exists())
    }

    /// Makes the output ready for new lines: repairs a line that a crash has cut, and removes lines whose requests are sent
    /// again.
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
            (Some(mut file), Existing::RetryFailed | Existing::Resume | Existing::Export) => {
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

    /// Sets the keys that are replaced in every line from now on.
    pub(crate) fn hide(&mut self, keys: Vec<String>) {
        self.keys = keys;
    }

    /// Adds the line of an outcome to those that [`write`](Self::write) writes.
    pub(crate) fn add(&mut self, outcome: &Outcome, origin: Origin) {
        line::put(&mut self.pending, outcome, origin, &self.keys);
    }

    /// Writes all lines that were added. After an error the file still ends with a whole line, and the lines are kept to be
    /// written by a later call.
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
                    // A part of a line may have been written. The next line must not follow it.
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

    /// Whether lines that could not be written can be written later.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.writer, Writer::File { .. })
    }

    /// Whether lines are kept because the disk is full, which may change.
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

/// The name of a temporary file that will replace a file. No other program uses such a name.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".outbound-new");
    PathBuf::from(beside)
}

fn unwritable(name: &str, error: &io::Error) -> Stop {
    Stop::Output(format!("{name}: {error}"))
}

/// Keeps a second run from writing to the same file, also under another name.
fn lock(file: &File, path: &Path, name: &str) -> Result<(), Stop> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Stop::Output(format!(
            "{name}: another run writes to it; wait until that run has ended, or give another --output"
        ))),
        // Another run may have replaced the file between our opening and our lock.
        Ok(()) if !has_name(file, path) => Err(overtaken(name)),
        // Not every file system has locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn new_file(path: &Path, name: &str) -> Result<File, Stop> {
    // A named pipe that we open to read has us as its reader; a device may not allow it.
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

/// Another run has changed the output between our reading and our lock.
fn overtaken(name: &str) -> Stop {
    Stop::Output(format!(
        "{name}: another run has changed it in the meantime; give the same command again, and it goes on from there"
    ))
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

/// The standard library has no stable way to find this out on other systems.
#[cfg(not(unix))]
fn has_name(_file: &File, _path: &Path) -> bool {
    true
}

/// The path with the first number after it that no file has: `OUT.1`, `OUT.2` and so on.
pub(crate) fn free_name(path: &Path) -> PathBuf {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    (1..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| numbered(0))
}

/// Removes a last line that a crash has cut. Where only its line end is missing, adds that.
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

/// Replaces the output with a copy that lacks the lines whose requests are sent again. A crash leaves the old file or the
/// new one, never a part.
fn without_what_is_sent_again(
    mut old: File,
    path: &Path,
    earlier: &Earlier,
    name: &str,
) -> Result<File, Stop> {
    let mut copy = || {
        // A symbolic link stays: the file that it names is replaced.
        let path = path.canonicalize()?;
        let beside = beside(&path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
        // Whoever may not read the old file may not read the new one either.
        file.set_permissions(old.metadata()?.permissions())?;
        old.seek(SeekFrom::Start(0))?;
        earlier.copy(&mut old, io::BufWriter::new(&file))?;
        file.sync_all()?;
        drop(file);
        let file = OpenOptions::new().read(true).append(true).open(&beside)?;
        // The new file is locked before it gets the name of the output, which other runs open.
        let _ = file.try_lock();
        fs::rename(&beside, path)?;
        Ok(file)
    };
    copy().map_err(|error: io::Error| unwritable(name, &error))
}

#[cfg(test)]
mod tests;
