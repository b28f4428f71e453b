//! The body of a request, in each of its forms.

use std::marker::PhantomData;

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderValue, header};
use serde::Serialize;

use super::{NOT_REPLAYABLE, RequestBuilder, Streamed};
use crate::{
    body::Body,
    error::{BoxError, Error, Kind},
    json,
    multipart::Multipart,
    pairs,
    progress::Progress,
};

/// Setting the body.
impl RequestBuilder {
    /// A body of bytes, without a content type.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.set_body(Body::bytes(bytes));
        self
    }

    /// A body of JSON, `application/json` unless a content type is set.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match json::to_bytes(value) {
            Ok(json) => self.typed("application/json").body(json),
            Err(error) => {
                let why =
                    Error::invalid(Kind::Request, "the body cannot be written as JSON").source_from(error);
                self.error.get_or_insert(why);
                self
            }
        }
    }

    /// A body of text, `text/plain; charset=utf-8` unless a content type is set.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.typed("text/plain; charset=utf-8").body(text.into())
    }

    /// Pairs as a form, `application/x-www-form-urlencoded` unless a content type is set. Values are those of a
    /// [`query`](Self::query).
    pub fn form<T: Serialize + ?Sized>(mut self, pairs: &T) -> Self {
        match pairs::encode_form(pairs) {
            Ok(form) => self.typed("application/x-www-form-urlencoded").body(form),
            Err(error) => {
                let why = Error::invalid(Kind::Request, "the form is not made of pairs");
                self.error.get_or_insert(why.source_from(error));
                self
            }
        }
    }

    /// A body of several parts, each with its own headers.
    pub fn multipart(mut self, multipart: Multipart) -> RequestBuilder<Streamed> {
        let (content_type, body) = multipart.into_body();
        self.headers_mut().insert(header::CONTENT_TYPE, content_type);
        self.streamed(body)
    }

    /// A body that is read while it is sent. With a `length`, that length is announced, and a stream of another
    /// length is an error. Without one, the body is sent in chunks. A stream of length 0 is not read. An error of the
    /// stream is the source of an error of [`Kind::RequestBody`].
    pub fn stream<S, E>(self, stream: S, length: Option<u64>) -> RequestBuilder<Streamed>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.streamed(Body::stream(stream, length))
    }

    /// A body as a value: a [file](Body::file), or the body of a layer. Like a stream, it is sent only once.
    pub fn with_body(self, body: Body) -> RequestBuilder<Streamed> {
        self.streamed(body)
    }

    fn streamed(mut self, body: Body) -> RequestBuilder<Streamed> {
        if self.replayable {
            self.reject(NOT_REPLAYABLE);
        }
        self.set_body(body);
        let Self { call, stack, timings, error, .. } = self;
        RequestBuilder { call, stack, replayable: false, timings, error, body: PhantomData }
    }

    fn set_body(&mut self, body: Body) {
        *self.request_mut().body_mut() = body;
    }

    fn typed(mut self, content_type: &'static str) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        self.headers_mut().entry(header::CONTENT_TYPE).or_insert(content_type);
        self
    }
}

/// Settings of a body that is read while it is sent.
impl RequestBuilder<Streamed> {
    /// Calls a callback for each piece of the body that a connection takes. It is called in the connection's task, so
    /// it must not block. [`progress`](crate::progress) turns the calls into a stream.
    pub fn on_progress(mut self, report: impl FnMut(Progress) + Send + 'static) -> Self {
        let body = self.request_mut().body_mut();
        *body = std::mem::take(body).report_to(Box::new(report));
        self
    }

    /// Sends the head first, and the body only when the server has asked for it with status 100 (RFC 9110, section
    /// 10.1.1). It is for a large body that a server may refuse because of the head. A server that replies without
    /// asking gets no byte of the body, and the connection is closed after the reply.
    ///
    /// If the server sends nothing for a second, the body is sent anyway. Over HTTP/2 the body is sent at once.
    pub fn expect_continue(mut self) -> Self {
        let body = self.request_mut().body_mut();
        *body = std::mem::take(body).expect_continue();
        self
    }
}
