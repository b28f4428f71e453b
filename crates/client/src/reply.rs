//! A reply: its head, and the ways to read its body.

use std::{
    fmt,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http::{Extensions, HeaderMap, Response, StatusCode, Version, header, response::Parts};
use hyper::body::{Body as _, Incoming};
use serde::de::DeserializeOwned;

use crate::{
    charset::Charset,
    coding,
    error::{Error, ErrorReply, Kind},
    events::Events,
    fields::has_field,
    lines::{Lines, Ndjson},
    progress::{Progress, Reported},
    read::{ErrorForStatus, NextChunk, ReadBytes, ReadJson, ReadPrefix, ReadText},
    redirect::Redirect,
    reply_body::ReplyBody,
    save::SaveReply,
    send::Call,
    timings::{ConnectionInfo, Timings},
    upgraded::Upgrade,
};

/// A reply: its head, and a body that is still to be read.
///
/// The body is read as a whole ([`bytes`](Self::bytes), [`text`](Self::text), [`json`](Self::json)), in pieces
/// ([`chunk`](Self::chunk), or as a [`Stream`] of [`Bytes`]), in lines ([`lines`](Self::lines),
/// [`ndjson`](Self::ndjson)), or as server-sent events ([`events`](Self::events)).
/// Its content coding is undone if that coding is compiled in; see [`content_encoding`](Self::content_encoding).
///
/// The connection is held until the body was read to its end; then it goes back to the pool. Dropping a reply before
/// that closes an HTTP/1.1 connection and resets an HTTP/2 stream, unless the end has already arrived.
///
/// ```no_run
/// # async fn run(client: outbound_client::Client) -> Result<(), outbound_client::Error> {
/// let mut reply = client.get("https://api.example.com/files/17").send().await?;
/// let mut size = 0;
/// while let Some(piece) = reply.chunk().await {
///     size += piece?.len();
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a reply closes its connection unless its body has been read"]
pub struct Reply {
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
    pub(crate) body: ReplyBody,
}

impl Reply {
    #[inline(always)]
    pub(crate) fn new(response: Response<Incoming>, mut call: Box<Call>) -> Self {
        let is_coded = has_field(response.headers(), &header::CONTENT_ENCODING) && !call.takes_coding();
        // Only a body without a length can have a transfer coding.
        let has_length = response.body().size_hint().exact().is_some();
        call.receive(&response);
        let (Parts { status, version, headers, extensions, .. }, incoming) = response.into_parts();
        let reply = Self { status, version, headers, extensions, body: ReplyBody::new(incoming, call) };
        if is_coded || !has_length { reply.undo_codings(is_coded) } else { reply }
    }

    /// A reply that comes through layers.
    pub(crate) fn of(response: Response<ReplyBody>, takes_coding: bool) -> Self {
        let (head, body) = response.into_parts();
        let is_coded = has_field(&head.headers, &header::CONTENT_ENCODING) && !takes_coding;
        let Parts { status, version, headers, extensions, .. } = head;
        let reply = Self { status, version, headers, extensions, body };
        if is_coded { reply.undo_coding() } else { reply }
    }

    fn undo_codings(mut self, is_coded: bool) -> Self {
        if let Some(error) = coding::unasked(&self.headers) {
            self.body = self.body.refuse(self.version, error);
        }
        if is_coded { self.undo_coding() } else { self }
    }

    /// Undoes a content coding. If that is not possible, the body gives an error when it is read, because its bytes
    /// are not the content.
    #[cold]
    fn undo_coding(mut self) -> Self {
        let codings = coding::of(&self.headers);
        if codings.is_empty() || http_body::Body::is_end_stream(&self.body) {
            return self;
        }
        match coding::undo(self.body, self.version, &codings) {
            Ok(body) => {
                self.body = body;
                self.headers.remove(header::CONTENT_ENCODING);
                self.headers.remove(header::CONTENT_LENGTH);
            }
            Err(body) => self.body = body,
        }
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The version of HTTP it came over.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers, mutable. A caller that reads the body next can take them without a copy. [`text`](Self::text),
    /// [`events`](Self::events) and [`content_encoding`](Self::content_encoding) use the headers that are left; all
    /// other methods do not need them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// The extensions that layers left in the reply.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The URL that the reply came from: the request's, or the one that the last redirect led to. It includes the
    /// query, which may contain something that must not be logged.
    pub fn url(&self) -> String {
        self.body.url()
    }

    /// The redirects that were followed, in order. (Redirects that a layer followed are not known.)
    pub fn redirects(&self) -> &[Redirect] {
        self.body.redirects()
    }

    /// The length of the body, or of what is left of it, if the head announced it.
    pub fn content_length(&self) -> Option<u64> {
        self.body.length()
    }

    /// The content coding of the body (`gzip`, `br`), if it was not undone: `content-encoding` as the server wrote
    /// it.
    ///
    /// If the request or the client's default headers have an `accept-encoding`, the body is given as it came.
    /// Otherwise its coding is undone, if the coding's feature is compiled in (`gzip` for gzip and deflate, `brotli`,
    /// `zstd`), and this header and `content-length` are removed. Without the feature, reading the body is an error
    /// of [`Kind::Decode`] that names the coding and the feature. More than three codings, and bytes that are not
    /// valid in the coding, are the same kind of error. A body that grows to more than 1 MiB and to more than 250
    /// times its encoded size is an error of [`Kind::TooLarge`]. All other bounds count decoded bytes.
    pub fn content_encoding(&self) -> Option<&str> {
        let values = self.headers.get_all(http::header::CONTENT_ENCODING).iter();
        let mut values = values.filter_map(|value| value.to_str().ok()).map(str::trim);
        values.find(|value| {
            let mut codings = value.split(',').map(str::trim);
            codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        })
    }

    /// The connection that the reply came over.
    pub fn connection(&self) -> ConnectionInfo {
        self.body.connection_info(self.version)
    }

    /// The address of the server. `None` if it is not known: through a proxy (whose address is in
    /// [`connection`](Self::connection)), over a unix socket, and with a connector that does not [state
    /// it](crate::Connected::remote_addr).
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        let connection = self.connection();
        connection.remote_addr.filter(|_| !connection.proxied)
    }

    /// How long the phases before the head took, if [`timings`](crate::RequestBuilder::timings) asked for it.
    pub fn timings(&self) -> Option<Timings> {
        self.body.timings()
    }

    /// The whole body, up to [`Limits::max_body`](crate::Limits::max_body) bytes.
    pub fn bytes(self) -> ReadBytes {
        ReadBytes::new(self.body)
    }

    /// The beginning of the body: what comes within a time, up to a number of bytes. Never an error: if a body
    /// stalls, breaks off or is longer, this gives what has come so far, and closes the connection.
    ///
    /// It is meant for the body of an error, for which nothing should wait long. The time begins at the first poll
    /// that has nothing to read. Bytes that arrived within it are given, however late they are read.
    pub fn bytes_up_to(self, max: usize, within: Duration) -> ReadPrefix {
        ReadPrefix::new(self.body, max, within)
    }

    /// The whole body as text, up to [`Limits::max_body`](crate::Limits::max_body) bytes. The charset is the one that
    /// its byte order mark or its content type names (labels of WHATWG Encoding), or else UTF-8.
    ///
    /// A body that is not valid in its charset, or that names an unknown charset, is an error of [`Kind::Decode`].
    pub fn text(self) -> ReadText {
        let charset = Charset::of(&self.headers);
        ReadText::new(self.bytes(), charset)
    }

    /// The whole body as JSON, up to [`Limits::max_body`](crate::Limits::max_body) bytes.
    ///
    /// A body that is not the expected JSON is an error of [`Kind::Decode`] that names the position;
    /// [`Error::excerpt`] gives the text around it.
    pub fn json<T: DeserializeOwned>(self) -> ReadJson<T> {
        ReadJson::new(self.bytes())
    }

    /// The body line by line, each line up to [`Limits::max_line`](crate::Limits::max_line) bytes.
    pub fn lines(self) -> Lines {
        Lines::new(self.body)
    }

    /// The body as values, one JSON text in each line (NDJSON, JSON Lines), each line up to
    /// [`Limits::max_line`](crate::Limits::max_line) bytes. The content type is not checked, because servers do not
    /// agree on one.
    pub fn ndjson<T: DeserializeOwned>(self) -> Ndjson<T> {
        Ndjson::new(self.body)
    }

    /// The next piece of the body, as it came. `None` at the end.
    ///
    /// Cancel safe: dropping the future loses no piece.
    pub fn chunk(&mut self) -> NextChunk<'_> {
        NextChunk(&mut self.body)
    }

    /// The body in pieces, as a stream. A reply is that stream itself; other clients have this name for it.
    pub fn bytes_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + Unpin {
        self
    }

    /// The body as server-sent events.
    ///
    /// # Errors
    ///
    /// [`Kind::Status`] if the status is not a success (the body is not read; call
    /// [`error_for_status`](Self::error_for_status) first to get it). [`Kind::ContentType`] if the content type is
    /// not `text/event-stream`.
    pub fn events(self) -> Result<Events, Error> {
        let origin = self.body.origin().cloned();
        if !self.status.is_success() {
            return Err(self.into_status_error());
        }
        let content_type = self.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("text/event-stream") {
            return Err(Error::body(Kind::ContentType)
                .text("the reply is not an event stream")
                .at(origin.as_ref()));
        }
        Ok(Events::new(self.body))
    }

    /// This reply if its status is below 300; otherwise an error with status, headers and the first 64 KiB of the
    /// body, as far as they come within 2 s ([`Error::reply`]).
    ///
    /// A 3xx that was not followed is an error as well, because its body is not an answer. If you expect a 304, check
    /// the [`status`](Self::status) first.
    pub fn error_for_status(self) -> ErrorForStatus {
        ErrorForStatus::new(self)
    }

    /// Writes the body to a file, whatever its size. Ready with the number of its bytes.
    ///
    /// The body is first written to another file in the same folder, whose name begins with a dot and ends with
    /// `.part`. When it is complete and on the disk, it replaces the file. So at any time the file is the old one or
    /// the complete new one. If reading or writing fails, or the future is dropped, the partial file is removed. It
    /// is left there only if the process is killed or the folder can no longer be written to. If the path is a
    /// symbolic link, the link is replaced and not its target. The mode of a file that existed before is kept.
    ///
    /// # Errors
    ///
    /// [`Kind::Status`] if the status is not a success; nothing is written then (call
    /// [`error_for_status`](Self::error_for_status) first to get the body). [`Kind::File`] if the file cannot be
    /// written.
    pub fn save(self, path: impl Into<PathBuf>) -> SaveReply {
        SaveReply::new(self, path.into())
    }

    /// Calls a callback for each piece of the body that is read, in any way. It is called when the body is polled, so
    /// it must not block. [`progress`](crate::progress) turns the calls into a stream.
    pub fn on_progress(mut self, report: impl FnMut(Progress) + Send + 'static) -> Self {
        self.body = self.body.wrap(self.version, |body| Reported::new(body, Box::new(report)));
        self
    }

    /// The trailers after the body (RFC 9110, section 6.5), once the body was read to its end with
    /// [`chunk`](Self::chunk) or as a stream. With HTTP/1.1, only a body in chunks can have trailers.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.body.trailers()
    }

    /// The connection, if the server has switched it to the protocol that [`RequestBuilder::upgrade`] asked for.
    ///
    /// # Errors
    ///
    /// [`Kind::Protocol`] if the status is not 101; the body is then dropped. The headers say which protocol the
    /// server switched to: the caller has to check them.
    ///
    /// [`RequestBuilder::upgrade`]: crate::RequestBuilder::upgrade
    pub fn upgrade(mut self) -> Upgrade {
        let switched = self.status == StatusCode::SWITCHING_PROTOCOLS;
        let upgrade = self.extensions.remove().filter(|_| switched);
        Upgrade::new(upgrade, self.body.origin().cloned())
    }

    /// The status as an error. The body is not read.
    pub(crate) fn into_status_error(self) -> Error {
        let Self { status, headers, mut body, .. } = self;
        let reply = ErrorReply { status, headers, body: Bytes::new(), complete: false };
        body.fail(Error::of_status(reply))
    }

    pub(crate) fn into_parts(self) -> (StatusCode, HeaderMap, ReplyBody) {
        (self.status, self.headers, self.body)
    }
}

impl From<Reply> for Response<ReplyBody> {
    fn from(reply: Reply) -> Self {
        let Reply { status, version, headers, extensions, body } = reply;
        let mut response = Self::new(body);
        *response.status_mut() = status;
        *response.version_mut() = version;
        *response.headers_mut() = headers;
        *response.extensions_mut() = extensions;
        response
    }
}

impl Stream for Reply {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body.poll_chunk(cx)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The headers are left out, because replies set cookies.
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
