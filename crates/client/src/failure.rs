//! Turns hyper's errors into the errors of this client.

use std::{error::Error as StdError, io};

use h2::Reason;

use crate::{
    connection::SpeaksTls,
    error::{Delivery, Error, Kind, Phase},
};

/// What the failure of a connection means for the request on it.
pub(crate) fn failure(error: hyper::Error, phase: Phase, delivery: Delivery) -> Error {
    let (kind, delivery) = match cause::<h2::Error>(&error) {
        // RFC 9113, section 8.7: a refused stream was not processed, so it may always be sent again.
        Some(error) if error.is_reset() && error.is_remote() => match error.reason() {
            Some(Reason::REFUSED_STREAM) if phase != Phase::Body => (Kind::Reset, Delivery::NotSent),
            _ => (Kind::Reset, delivery),
        },
        // The same section: a stream above the last one that a GOAWAY names was not processed, and only such streams
        // fail with the GOAWAY. A stream below it continues. If the connection then ends, the stream fails with the
        // connection's error.
        Some(error) if error.is_go_away() && error.is_remote() && phase != Phase::Body => {
            (Kind::Closed, Delivery::NotSent)
        }
        Some(error) if error.is_io() || error.is_go_away() && error.is_remote() => (Kind::Closed, delivery),
        // The server sent something invalid on this stream. Other streams are not affected.
        Some(error) if error.is_reset() => (Kind::Protocol, Delivery::Replied),
        Some(_) => (Kind::Protocol, delivery),
        // A reply came, but it cannot be read.
        None if error.is_parse() || speaks_tls(&error) => (Kind::Protocol, Delivery::Replied),
        None if is_malformed(&error) => (Kind::Protocol, delivery),
        None => (Kind::Closed, delivery),
    };
    let text = (kind == Kind::Protocol).then(|| what_is_wrong(&error)).flatten();
    let failure = Error::new(kind, phase, delivery).source_from(error);
    match text {
        Some(text) => failure.text(text),
        None => failure,
    }
}

/// Whether the framing of an HTTP/1.1 body is broken: the size of a chunk, its end, or a trailer. (A body that ends
/// too early is another error. So is a TLS failure, although hyper reports it in the same way.)
fn is_malformed(error: &hyper::Error) -> bool {
    cause::<io::Error>(error).is_some_and(|error| {
        !holds::<rustls::Error>(error)
            && matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    })
}

fn speaks_tls(error: &hyper::Error) -> bool {
    cause::<io::Error>(error).is_some_and(holds::<SpeaksTls>)
}

fn holds<T: StdError + 'static>(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<T>())
}

/// Which line or bound makes the head of a reply unreadable. hyper tells these cases apart only by its messages.
fn what_is_wrong(error: &hyper::Error) -> Option<&'static str> {
    if speaks_tls(error) {
        return Some("this port speaks TLS: use https:// in place of http://");
    }
    if !error.is_parse() {
        return is_malformed(error).then_some("a chunk or a trailer of the reply's body is malformed");
    }
    let message = error.to_string();
    Some(if message.contains("too large") {
        "the reply's head is beyond its bounds: 400 KiB, or the number of `max_header_fields`"
    } else if message.contains("content-length") {
        "the reply's head is not valid: its `content-length` is no number, or there are two"
    } else if message.contains("transfer-encoding") {
        "the reply's head is not valid: its `transfer-encoding`"
    } else if message.contains("header") {
        "the reply's head is not valid: a header line is folded, has a control character, or has no name"
    } else {
        "the reply's head is not valid: its status line is not one of HTTP/1.1"
    })
}

fn cause<T: StdError + 'static>(error: &hyper::Error) -> Option<&T> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}
