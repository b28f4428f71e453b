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

/// A reply: its head, and its body still to be read.
///
/// The body is read as a whole ([`bytes`](Self::bytes), [`text`](Self::text), [`json`](Self::json)), in pieces
/// ([`chunk`](Self::chunk), or as a [`Stream`] of [`Bytes`]), in lines ([`lines`](Self::lines),
/// [`ndjson`](Self::ndjson)), or as server-sent events ([`events`](Self::events)).
/// Its coding is undone where that is compiled in; see [`content_encoding`](Self::content_encoding).
///
/// The connection is held until the body has been read to its end, then it goes back to the pool. Dropping a reply
/// before that closes an HTTP/1.1 connection and resets an HTTP/2 stream, unless the end has already arrived.
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
        // Only a body without a length can have a coding of its own way.
        let has_length = response.body().size_hint().exact().is_some();
        call.receive(&response);
        let (Parts { status, version, headers, extensions, .. }, incoming) = response.into_parts();
        let reply = Self { status, version, headers, extensions, body: ReplyBody::new(incoming, call) };
        if is_coded || !has_length { reply.undo_codings(is_coded) } else { reply }
    }

    /// A reply as layers have it.
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

    /// Undoes a coding of the body. One that cannot be undone makes a body that cannot be read: it is not what it seems.
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

    /// The headers, to be taken without a copy by who reads the body next. [`text`](Self::text), [`events`](Self::events)
    /// and [`content_encoding`](Self::content_encoding) go by what is left here; all others have what they need.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// What layers left with the reply.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The URL that it came from: the request's, or where the last redirect led. With its query, which may carry what is
    /// not for a log.
    pub fn url(&self) -> String {
        self.body.url()
    }

    /// The redirects that were followed to it, in order. (Those that a layer followed are not known.)
    pub fn redirects(&self) -> &[Redirect] {
        self.body.redirects()
    }

    /// The length of the body, or of what is left of it, where the head told it.
    pub fn content_length(&self) -> Option<u64> {
        self.body.length()
    }

    /// What the body is coded with (`gzip`, `br`), where it still is: `content-encoding` as the server wrote it.
    ///
    /// Where the request, or the client's default headers, have an `accept-encoding`, the body is given as it came. Else
    /// its coding is undone, and this and `content-length` are taken away, if the coding's feature is compiled in (`gzip`
    /// for gzip and deflate, `brotli`, `zstd`). Without that, to read the body is an error of [`Kind::Decode`] that names
    /// coding and feature. So are more than three codings and bytes that are not in the coding. What is more than 250
    /// times as large as it came, and than 1 MiB, is one of [`Kind::TooLarge`]; all other bounds count decoded bytes.
    pub fn content_encoding(&self) -> Option<&str> {
        let values = self.headers.get_all(http::header::CONTENT_ENCODING).iter();
        let mut values = values.filter_map(|value| value.to_str().ok()).map(str::trim);
        values.find(|value| {
            let mut codings = value.split(',').map(str::trim);
            codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        })
    }

    /// What it came over.
    pub fn connection(&self) -> ConnectionInfo {
        self.body.connection_info(self.version)
    }

    /// The address of the server that it came from. None where that is not known: through a proxy, whose own address is
    /// in [`connection`](Self::connection), over a unix socket, and where a connector does not
    /// [state it](crate::Connected::remote_addr).
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        let connection = self.connection();
        connection.remote_addr.filter(|_| !connection.proxied)
    }

    /// How long the phases before its head took, where [`timings`](crate::RequestBuilder::timings) asked for that.
    pub fn timings(&self) -> Option<Timings> {
        self.body.timings()
    }

    /// The whole body, up to [`Limits::max_body`](crate::Limits::max_body) bytes.
    pub fn bytes(self) -> ReadBytes {
        ReadBytes::new(self.body)
    }

    /// The beginning of the body: what comes of it within a time, up to a number of bytes. Never an error. A body that
    /// stalls, breaks off or is longer gives what has come until then, and its connection is closed.
    ///
    /// For the body of an error, which nothing should wait for. The time begins at the first poll that has nothing to
    /// read; what has arrived by then is given, however late it is read.
    pub fn bytes_up_to(self, max: usize, within: Duration) -> ReadPrefix {
        ReadPrefix::new(self.body, max, within)
    }

    /// The whole body as text, up to [`Limits::max_body`](crate::Limits::max_body) bytes of it: in the charset that its
    /// byte order mark or its content type names (the labels of WHATWG Encoding), else in UTF-8.
    ///
    /// A body that is not in that charset, or names one that is not known, is an error of [`Kind::Decode`].
    pub fn text(self) -> ReadText {
        let charset = Charset::of(&self.headers);
        ReadText::new(self.bytes(), charset)
    }

    /// The whole body as JSON, up to [`Limits::max_body`](crate::Limits::max_body) bytes.
    ///
    /// A body that is not the expected JSON is an error of [`Kind::Decode`] that names the position;
    /// [`Error::excerpt`] has the text around it.
    pub fn json<T: DeserializeOwned>(self) -> ReadJson<T> {
        ReadJson::new(self.bytes())
    }

    /// The body line by line, each up to [`Limits::max_line`](crate::Limits::max_line) bytes.
    pub fn lines(self) -> Lines {
        Lines::new(self.body)
    }

    /// The body as values, one JSON text a line (NDJSON, JSON Lines), each up to
    /// [`Limits::max_line`](crate::Limits::max_line) bytes. Whatever the content type: servers do not agree on one.
    pub fn ndjson<T: DeserializeOwned>(self) -> Ndjson<T> {
        Ndjson::new(self.body)
    }

    /// The next piece of the body as it came, `None` at its end.
    ///
    /// Cancel safe: dropping the future loses no piece.
    pub fn chunk(&mut self) -> NextChunk<'_> {
        NextChunk(&mut self.body)
    }

    /// The body in pieces, as a stream. A reply is that stream itself; this is its name in other clients.
    pub fn bytes_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + Unpin {
        self
    }

    /// The body as server-sent events.
    ///
    /// # Errors
    ///
    /// [`Kind::Status`] if the status is not a success (its body is not read: ask
    /// [`error_for_status`](Self::error_for_status) first to have it), [`Kind::ContentType`] if the content type is
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

    /// This reply, unless its status is 300 or more; then an error that keeps status, headers and the first 64 KiB of
    /// the body, as far as they come within 2 s ([`Error::reply`]).
    ///
    /// A 3xx that is left when redirects were followed, or when none are to be, has no answer in its body either. Ask for
    /// the [`status`](Self::status) first where a 304 is expected.
    pub fn error_for_status(self) -> ErrorForStatus {
        ErrorForStatus::new(self)
    }

    /// Writes the body to a file, whatever its size: ready with the number of its bytes.
    ///
    /// It is written beside the file, under a name with a dot in front and `.part` at the end, and takes the file's place
    /// once it is whole and on the disk. So the file is the old one or the new one, at any time. When reading or writing
    /// fails, and when the future is dropped, what was written is removed; only a process that is killed, or a folder
    /// that can no longer be written to, leaves it there. A symbolic link at the path is replaced, and not its target.
    /// Who may read and write a file that was there before (its mode) stays as it was.
    ///
    /// # Errors
    ///
    /// [`Kind::Status`] if the status is not a success, with nothing written (ask
    /// [`error_for_status`](Self::error_for_status) first to have the body). [`Kind::File`] if the file cannot be written.
    pub fn save(self, path: impl Into<PathBuf>) -> SaveReply {
        SaveReply::new(self, path.into())
    }

    /// Tells a callback of each piece of the body that is read, in whichever way. It is called where the body is polled,
    /// so it must not block. [`progress`](crate::progress) makes a stream of it.
    pub fn on_progress(mut self, report: impl FnMut(Progress) + Send + 'static) -> Self {
        self.body = self.body.wrap(self.version, |body| Reported::new(body, Box::new(report)));
        self
    }

    /// The fields that came behind the body (RFC 9110, section 6.5), once that was read to its end with
    /// [`chunk`](Self::chunk) or as a stream. Over HTTP/1.1 only a body in chunks can have them.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.body.trailers()
    }

    /// The connection, where the server has switched it to the protocol that [`RequestBuilder::upgrade`] asked for.
    ///
    /// # Errors
    ///
    /// [`Kind::Protocol`] if the reply is another than 101, whose body is then given up. What the server switched to, its
    /// headers say: that is the caller's to check.
    ///
    /// [`RequestBuilder::upgrade`]: crate::RequestBuilder::upgrade
    pub fn upgrade(mut self) -> Upgrade {
        let switched = self.status == StatusCode::SWITCHING_PROTOCOLS;
        let upgrade = self.extensions.remove().filter(|_| switched);
        Upgrade::new(upgrade, self.body.origin().cloned())
    }

    /// The status is the error; the body is not read.
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
        // No headers: replies carry cookies.
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
