//! Content codings of request bodies.

use http::{HeaderValue, Request, header};

use super::RequestBuilder;
use crate::{
    body::Body,
    coding::Coding,
    error::{Error, Kind},
};

impl<B> RequestBuilder<B> {
    /// Sends the body in the coding `gzip`, and sets `content-encoding`. Use it only for servers that are known to
    /// decode it, because a client cannot ask.
    ///
    /// A body in memory is encoded when the request is sent, by the thread that sends it (about 20 ms for each MiB),
    /// and can still be sent again. A stream is encoded while it is sent, and has no announced length.
    #[cfg(feature = "gzip")]
    pub fn gzip(self) -> Self {
        self.coded(Coding::Gzip)
    }

    /// The same in the coding `br`, of brotli, with its quality 5.
    #[cfg(feature = "brotli")]
    pub fn brotli(self) -> Self {
        self.coded(Coding::Brotli)
    }

    /// The same in the coding `zstd`.
    #[cfg(feature = "zstd")]
    pub fn zstd(self) -> Self {
        self.coded(Coding::Zstd)
    }

    fn coded(mut self, coding: Coding) -> Self {
        // The body may be set after this call.
        self.request_mut().extensions_mut().insert(coding);
        self
    }
}

/// Encodes the body, if a coding was asked for and there is a body.
pub(super) fn code(request: &mut Request<Body>) -> Result<(), Error> {
    let Some(coding) = request.extensions_mut().remove::<Coding>() else { return Ok(()) };
    let body = std::mem::take(request.body_mut());
    if http_body::Body::is_end_stream(&body) {
        return Ok(());
    }
    *request.body_mut() = body
        .coded(coding)
        .map_err(|error| Error::invalid(Kind::Request, "the body cannot be coded").source_from(error))?;
    request.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    Ok(())
}
