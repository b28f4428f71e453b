//! Files as the bodies of requests.

use std::{
    io,
    path::Path,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::{
    fs::File,
    io::{AsyncRead, ReadBuf},
};

/// The content of a file, in pieces.
pub(crate) struct FileContent {
    file: File,
    /// What is left of the length that the file had when it was opened. `None` if it has no length: a pipe, a device.
    left: Option<u64>,
}

impl FileContent {
    const PIECE: usize = 64 << 10;

    pub(crate) async fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).await?;
        let metadata = file.metadata().await?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self { file, left: metadata.is_file().then_some(metadata.len()) })
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.left
    }
}

impl Stream for FileContent {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { file, left } = &mut *self;
        // The length is announced already, so bytes that were appended since then are not sent.
        let most =
            left.map_or(Self::PIECE, |left| Self::PIECE.min(usize::try_from(left).unwrap_or(usize::MAX)));
        if most == 0 {
            return Poll::Ready(None);
        }
        let mut piece = BytesMut::zeroed(most);
        let mut buffer = ReadBuf::new(&mut piece);
        ready!(Pin::new(file).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        piece.truncate(read);
        if let Some(left) = left {
            *left -= read as u64;
        }
        Poll::Ready((read > 0).then(|| Ok(piece.freeze())))
    }
}
