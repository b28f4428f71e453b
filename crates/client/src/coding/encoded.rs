//! Encodes the body of a request, at once or while it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use compression_codecs::{
    EncodeV2,
    core::util::{PartialBuffer, WriteBuffer},
};
use futures_core::Stream;

use crate::{body::Body, error::BoxError};

/// How the body of a request is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coding {
    #[cfg(feature = "gzip")]
    Gzip,
    #[cfg(feature = "brotli")]
    Brotli,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Coding {
    /// The name in `content-encoding`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => "gzip",
            #[cfg(feature = "brotli")]
            Self::Brotli => "br",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    /// Each at the default level of its own tools. Brotli is the exception: its default takes one second for each
    /// MiB.
    fn encoder(self) -> Box<dyn EncodeV2 + Send> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => Box::new(compression_codecs::GzipEncoder::new(
                compression_codecs::core::Level::Default.into(),
            )),
            #[cfg(feature = "brotli")]
            Self::Brotli => {
                let quality = compression_codecs::brotli::params::EncoderParams::default()
                    .quality(compression_codecs::core::Level::Precise(5));
                Box::new(compression_codecs::BrotliEncoder::new(quality))
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => Box::new(compression_codecs::ZstdEncoder::new(3)),
        }
    }
}

/// An encoder, and what it still has to do.
pub(crate) struct Encoder {
    encoder: Box<dyn EncodeV2 + Send>,
    is_done: bool,
}

impl Encoder {
    const PIECE: usize = 32 << 10;

    pub(crate) fn new(coding: Coding) -> Self {
        Self { encoder: coding.encoder(), is_done: false }
    }

    /// Encodes a whole body that is in memory.
    pub(crate) fn whole(mut self, mut input: Bytes) -> io::Result<Bytes> {
        let mut all = Vec::with_capacity(input.len() / 2);
        while !input.is_empty() {
            all.extend_from_slice(&self.encode(&mut input)?);
        }
        while !self.is_done {
            all.extend_from_slice(&self.finish()?);
        }
        Ok(all.into())
    }

    /// Takes input. The output may be empty.
    fn encode(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        let mut piece = vec![0; Self::PIECE];
        let mut output = WriteBuffer::new_initialized(&mut piece);
        let mut coded = PartialBuffer::new(&input[..]);
        self.encoder.encode(&mut coded, &mut output)?;
        let (taken, written) = (coded.written_len(), output.written_len());
        input.advance(taken);
        piece.truncate(written);
        Ok(piece.into())
    }

    fn finish(&mut self) -> io::Result<Bytes> {
        let mut piece = vec![0; Self::PIECE];
        let mut output = WriteBuffer::new_initialized(&mut piece);
        self.is_done = self.encoder.finish(&mut output)?;
        let written = output.written_len();
        piece.truncate(written);
        Ok(piece.into())
    }
}

/// A body that is encoded while it is sent.
pub(crate) struct Encoded {
    body: Body,
    encoder: Encoder,
    input: Bytes,
    /// All of the body has come.
    has_ended: bool,
}

impl Encoded {
    pub(crate) fn new(body: Body, coding: Coding) -> Self {
        Self { body, encoder: Encoder::new(coding), input: Bytes::new(), has_ended: false }
    }
}

impl Stream for Encoded {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { body, encoder, input, has_ended } = &mut *self;
        loop {
            let piece = if !input.is_empty() {
                encoder.encode(input)?
            } else if !*has_ended {
                match ready!(http_body::Body::poll_frame(Pin::new(&mut *body), cx)) {
                    Some(Ok(frame)) => *input = frame.into_data().unwrap_or_default(),
                    Some(Err(error)) => {
                        // Report the error of the caller's stream itself, not only that the stream failed.
                        let cause = body.upload().and_then(|upload| upload.take_error());
                        return Poll::Ready(Some(Err(cause.unwrap_or(error))));
                    }
                    None => *has_ended = true,
                }
                continue;
            } else if !encoder.is_done {
                encoder.finish()?
            } else {
                return Poll::Ready(None);
            };
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
    }
}
