//! Writing a reply's body to a file.

use std::{
    ffi::OsString,
    fmt,
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use rand::RngExt;
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
    task::spawn_blocking,
};

use crate::{
    error::{Error, Kind},
    reply::Reply,
};

/// A body that is being written to a file, from [`Reply::save`]. Ready with the number of its bytes.
///
/// Dropping it drops the reply and removes the partial file.
#[must_use = "futures do nothing unless polled"]
pub struct SaveReply(Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>);

impl SaveReply {
    pub(crate) fn new(reply: Reply, path: PathBuf) -> Self {
        Self(Box::pin(save(reply, path)))
    }
}

impl Future for SaveReply {
    type Output = Result<u64, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for SaveReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaveReply")
    }
}

async fn save(mut reply: Reply, path: PathBuf) -> Result<u64, Error> {
    if !reply.status().is_success() {
        return Err(reply.into_status_error());
    }
    let origin = reply.body.origin().cloned();
    let failed = |error: io::Error| {
        let why = "the reply could not be written to its file";
        Error::body(Kind::File).text(why).source_from(error).at(origin.as_ref())
    };
    let mut partial = Partial::create(&path).await.map_err(failed)?;
    let mut bytes = 0;
    while let Some(piece) = reply.chunk().await {
        let piece = piece?;
        partial.file.write_all(&piece).await.map_err(failed)?;
        bytes += piece.len() as u64;
    }
    partial.finish(&path).await.map_err(failed)?;
    Ok(bytes)
}

/// A partial file next to the file that it will replace. Dropping it removes it.
struct Partial {
    file: File,
    path: PathBuf,
    is_whole: bool,
}

impl Partial {
    async fn create(path: &Path) -> io::Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path does not end with a file's name",
            ));
        };
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{:08x}.part", rand::rng().random::<u32>()));
        let partial = path.with_file_name(hidden);
        let replaced = path.to_owned();
        // A blocking task always runs to its end, even if nobody waits for it any more. Its file is then dropped, and
        // so removed.
        let made = spawn_blocking(move || {
            let file = std::fs::File::options().write(true).create_new(true).open(&partial)?;
            let this = Self { file: File::from_std(file), path: partial, is_whole: false };
            // The mode is set before the file has content, so that nobody can read it who must not.
            if let Some(mode) = std::fs::symlink_metadata(replaced).ok().filter(Metadata::is_file) {
                std::fs::set_permissions(&this.path, mode.permissions())?;
            }
            Ok(this)
        });
        made.await?
    }

    /// Replaces the other file, after all bytes are on the disk. Otherwise a crash could leave an empty file.
    async fn finish(mut self, path: &Path) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_data().await?;
        fs::rename(&self.path, path).await?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_whole {
            // Removing takes no longer than writing did. That it may fail is documented at `Reply::save`.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
