//! A copy of a request that was sent. It is needed to send the request again, to follow a redirect, and to report its
//! URL.

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, uri::PathAndQuery};
use http_body::Body as _;

use crate::{body::Body, fields::has_field, target::finish};

/// The copy of a request that was sent. It is needed to send the request again, to follow a redirect, and to report
/// its URL.
///
/// The headers are kept as bytes, in a buffer that is used again: cloning them would mostly allocate, and most copies
/// are never used. A short body is kept in the same buffer. The target is shared with the request.
pub(crate) struct RequestCopy {
    method: Method,
    target: PathAndQuery,
    // The headers, and a short body.
    buffer: Vec<u8>,
    head: usize,
    body: Saved,
    /// Whether the request itself asks for content codings.
    pub(crate) asks_for_coding: bool,
}

enum Saved {
    /// In the buffer.
    Short,
    Shared(Bytes),
    /// A stream, which cannot be read twice; or a copy that must not be sent again.
    Never,
}

impl RequestCopy {
    // A body up to this length is copied and not shared: the first clone of bytes with only one owner allocates.
    const SHORT: usize = 4 << 10;

    /// The URI is in origin form. If the copy is not `whole`, only its target is kept.
    pub(crate) fn of(request: &Request<Body>, whole: bool) -> Self {
        let (method, target) = (request.method().clone(), target_of(request.uri()));
        let mut request_copy = Self {
            method,
            target,
            buffer: Vec::new(),
            head: 0,
            body: if whole { Saved::Short } else { Saved::Never },
            asks_for_coding: false,
        };
        let headers = request.headers();
        if !headers.is_empty() {
            request_copy.take_headers(headers, whole);
        }
        if whole && !request.body().is_end_stream() {
            request_copy.take_body(request.body());
        }
        request_copy
    }

    fn take_headers(&mut self, headers: &HeaderMap, whole: bool) {
        if !whole {
            self.asks_for_coding = has_field(headers, &header::ACCEPT_ENCODING);
            return;
        }
        self.buffer = spare::take();
        for (name, value) in headers {
            self.asks_for_coding |= *name == header::ACCEPT_ENCODING;
            push(&mut self.buffer, name.as_str().as_bytes(), value);
        }
        self.head = self.buffer.len();
    }

    fn take_body(&mut self, body: &Body) {
        self.body = match body.as_shared() {
            None => Saved::Never,
            Some(bytes) if bytes.len() > Self::SHORT || !bytes.is_unique() => Saved::Shared(bytes.clone()),
            Some(bytes) => {
                if self.head == 0 {
                    self.buffer = spare::take();
                }
                self.buffer.extend_from_slice(bytes);
                Saved::Short
            }
        };
    }

    /// The request again. `None` if its body cannot be read twice.
    pub(crate) fn request(&self) -> Option<Request<Body>> {
        let body = match &self.body {
            Saved::Short => Body::bytes(Bytes::copy_from_slice(&self.buffer[self.head..])),
            Saved::Shared(bytes) => Body::bytes(bytes.clone()),
            Saved::Never => return None,
        };
        let mut request = self.without_body()?;
        *request.body_mut() = body;
        Some(request)
    }

    /// The request's head, with no body.
    pub(crate) fn without_body(&self) -> Option<Request<Body>> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.target.clone());
        let mut rest = self.buffer.get(..self.head)?;
        while !rest.is_empty() {
            let (name, value) = (take(&mut rest)?, take(&mut rest)?);
            let mut value = HeaderValue::from_bytes(value).ok()?;
            value.set_sensitive(*rest.split_off_first()? == 1);
            request.headers_mut().append(HeaderName::from_bytes(name).ok()?, value);
        }
        Some(request)
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        self.target.as_str()
    }
}

/// A URI may have a query right after its authority. The target that is sent begins with a slash (RFC 9112, section
/// 3.2.1).
fn target_of(uri: &Uri) -> PathAndQuery {
    match uri.path_and_query() {
        Some(target) if !target.as_str().starts_with('?') => target.clone(),
        Some(target) => finish(format!("/{}", target.as_str())).unwrap_or_else(|_| root()),
        None => root(),
    }
}

fn root() -> PathAndQuery {
    PathAndQuery::from_static("/")
}

impl Drop for RequestCopy {
    fn drop(&mut self) {
        if self.buffer.capacity() > 0 {
            spare::keep(std::mem::take(&mut self.buffer));
        }
    }
}

fn push(buffer: &mut Vec<u8>, name: &[u8], value: &HeaderValue) {
    let bytes = value.as_bytes();
    buffer.reserve(2 * size_of::<usize>() + name.len() + bytes.len() + 1);
    for part in [name, bytes] {
        buffer.extend_from_slice(&part.len().to_ne_bytes());
        buffer.extend_from_slice(part);
    }
    buffer.push(u8::from(value.is_sensitive()));
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = rest.split_off(..size_of::<usize>())?.try_into().ok()?;
    rest.split_off(..usize::from_ne_bytes(len))
}

/// Buffers of copies that were dropped.
mod spare {
    use super::RefCell;

    // A request with an unusually large head, or an unusual burst of requests, does not make a thread keep more than
    // this.
    const LARGEST: usize = 16 << 10;
    const MOST: usize = 64;

    thread_local! {
        static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn take() -> Vec<u8> {
        SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_default()
    }

    pub(super) fn keep(mut buffer: Vec<u8>) {
        if buffer.capacity() > LARGEST {
            return;
        }
        buffer.clear();
        // If the thread is ending, the buffer is dropped.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = "/a?b=c".parse().unwrap();
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        request.headers_mut().insert("authorization", secret);
        request.headers_mut().append("x", HeaderValue::from_static("1"));
        request.headers_mut().append("x", HeaderValue::from_bytes(b"\xff").unwrap());
        request.headers_mut().append("y", HeaderValue::from_static(""));
        request
    }

    #[test]
    fn a_copy_is_the_same_request() {
        // Twice, so that a buffer is used again.
        for length in [3, 5000, 100_000, 0, 3] {
            let request = request(Body::bytes(vec![b'x'; length]));
            let request_copy = RequestCopy::of(&request, true);
            let copy = request_copy.request().unwrap();
            assert_eq!((copy.method(), copy.uri()), (request.method(), request.uri()));
            assert_eq!(copy.headers(), request.headers());
            assert!(copy.headers()["authorization"].is_sensitive() && !copy.headers()["y"].is_sensitive());
            assert_eq!(copy.body().as_bytes(), request.body().as_bytes());
            assert_eq!((request_copy.target(), request_copy.asks_for_coding), ("/a?b=c", false));
        }
    }

    #[test]
    fn a_stream_has_a_head_and_no_copy() {
        let stream = futures::stream::empty::<Result<Bytes, std::io::Error>>();
        let mut request = request(Body::stream(stream, None));
        request.headers_mut().insert("accept-encoding", HeaderValue::from_static("gzip"));
        let request_copy = RequestCopy::of(&request, true);
        assert!(request_copy.request().is_none() && request_copy.asks_for_coding);
        assert_eq!(request_copy.without_body().unwrap().headers(), request.headers());
        let request_copy = RequestCopy::of(&request, false);
        assert!(request_copy.request().is_none() && request_copy.asks_for_coding);
        assert_eq!(request_copy.target(), "/a?b=c");
    }
}
