//! The headers that say where a message goes and where it ends. The client writes them itself.

use http::{HeaderName, HeaderValue, Method, Request, header};

use crate::body::Body;

/// Whether a header says where a message goes or where it ends, or belongs to one connection only.
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    FRAMING.contains(&name.as_str())
}

pub(crate) const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

pub(crate) fn framing(name: &HeaderName) -> String {
    format!("the header `{name}` belongs to the message's framing, which the client writes itself")
}

pub(crate) fn bad_value(name: &HeaderName) -> String {
    format!("the value of the header `{name}` has characters that it cannot have")
}

/// A request with a method that usually has a body announces that it has none (RFC 9110, section 8.6). Some servers
/// require it.
pub(crate) fn announce_nothing(request: &mut Request<Body>) {
    if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH)
        && http_body::Body::size_hint(request.body()).exact() == Some(0)
    {
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}
