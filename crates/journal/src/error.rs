//! The error of a journal.

use std::{error, fmt, io, path::PathBuf};

/// Why a journal could not be opened, read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused to open, list, read, write or cut a file.
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another writer has this journal open.
    Locked {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// A record or a header is wrong, and it is not at the torn end of the journal.
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where the wrong record begins, in bytes from the start of the file.
        offset: u64,
    },
    /// A segment is missing between two others.
    Missing {
        /// The segment that should be there.
        file: PathBuf,
    },
    /// The segment was written by a version of the format that this crate does not know.
    Version {
        /// The segment.
        file: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The record is larger than the journal's limit. Nothing was written.
    TooLarge {
        /// Length of the record, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        max: u32,
    },
    /// A write or a sync failed, now or earlier. The journal takes no more records until it is opened again.
    Failed {
        /// The kind of the first failure: [`io::ErrorKind::StorageFull`] where the disk was full.
        kind: io::ErrorKind,
        /// What the system said.
        message: String,
    },
}

impl Error {
    pub(crate) fn io(file: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        move |source| Self::Io { file, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, source } => write!(f, "{}: {source}", file.display()),
            Self::Locked { folder } => write!(f, "{}: another writer has it open", folder.display()),
            Self::Damaged { file, offset } => write!(f, "{}: damaged at byte {offset}", file.display()),
            Self::Missing { file } => write!(f, "{}: this segment is missing", file.display()),
            Self::Version { file, version } => {
                write!(f, "{}: format version {version} is not known", file.display())
            }
            Self::TooLarge { bytes, max } => {
                write!(f, "a record of {bytes} bytes is larger than the limit of {max} bytes")
            }
            Self::Failed { message, .. } => write!(f, "the journal stopped after a failed write: {message}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
