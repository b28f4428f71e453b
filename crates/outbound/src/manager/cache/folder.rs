//! Answers kept in a folder, for the next run and for other processes.
//!
//! One file for each answer, named by the SHA-256 of its request. The first line is JSON: `status`, `headers`, `stored`
//! (seconds since 1970), and `sha256` of the body. The body follows byte for byte.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{super::reply::Reply, key::Key};

#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    stored: u64,
    sha256: String,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// In a subfolder named by the first two digits, since a folder with a million files is slow to list.
    fn file(&self, key: Key) -> PathBuf {
        let name = key.hex();
        self.0.join(&name[..2]).join(name)
    }

    /// An answer, and when it was stored. `None` also for a damaged file.
    pub(super) fn find(&self, key: Key) -> Option<(Reply, SystemTime)> {
        let bytes = match fs::read(self.file(key)) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "an answer of the cache could not be read");
                }
                return None;
            }
        };
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
        let body = bytes.slice(end + 1..);
        if head.sha256 != digest(&body) {
            return None;
        }
        let pairs = head.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        });
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| _ = headers.append(name, value));
        let status = StatusCode::from_u16(head.status).ok()?;
        let stored = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(head.stored))?;
        Some((Reply { status, headers, body }, stored))
    }

    /// A file that cannot be written is only logged.
    pub(super) fn keep(&self, key: Key, reply: &Reply, now: SystemTime) {
        if let Err(error) = write(&self.file(key), reply, now) {
            tracing::warn!(%error, "an answer could not be put into the cache");
        }
    }
}

/// Written under another name first, and then renamed, so that nobody reads half a file.
fn write(path: &Path, reply: &Reply, now: SystemTime) -> io::Result<()> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let head = Head {
        status: reply.status.as_u16(),
        headers: reply.headers.iter().filter_map(text).collect(),
        stored: now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        sha256: digest(&reply.body),
    };
    let mut bytes = serde_json::to_vec(&head)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&reply.body);
    let folder = path.parent().unwrap_or(Path::new("."));
    private(folder)?;
    let unfinished = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let written = write_private(&unfinished, &bytes).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written
}

/// Only the owner may read what models wrote.
#[cfg(unix)]
fn private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(unix)]
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

#[cfg(not(unix))]
fn private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(not(unix))]
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)
}

fn digest(bytes: &[u8]) -> String {
    Key(Sha256::digest(bytes).into()).hex()
}

#[cfg(test)]
mod tests;
