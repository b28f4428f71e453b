//! Bodies of requests in a coding.

use http::{HeaderValue, Request, header};

use super::RequestBuilder;
use crate::{
    body::Body,
    coding::Coding,
    error::{Error, Kind},
};

impl<B> RequestBuilder<B> {
    /// Sends the body in the coding `gzip`, and says so in `content-encoding`. For servers that are known to undo it: a
    /// client cannot ask.
    ///
    /// A body in memory is coded when the request is sent, by whoever sends it (some 20 ms for each MiB), and can be sent
    /// again as it could before. One that is read while it is sent is coded while it is sent, without a length.
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
        // The body may still come.
        self.request_mut().extensions_mut().insert(coding);
        self
    }
}

/// Codes the body, if that was asked for and there is one.
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
