use std::error::Error as StdError;

use h2::Reason;

use crate::error::{Delivery, Error, Kind, Phase};

/// What a failed connection means for the request on it.
pub(crate) fn failure(error: hyper::Error, phase: Phase, delivery: Delivery) -> Error {
    let (kind, delivery) = match http2(&error) {
        // RFC 9113, section 8.7: a refused stream was not processed, and may be sent again whatever it does.
        Some(error) if error.is_reset() && error.is_remote() => match error.reason() {
            Some(Reason::REFUSED_STREAM) if phase != Phase::Body => (Kind::Reset, Delivery::NotSent),
            _ => (Kind::Reset, delivery),
        },
        // The same section: neither was one above the last that a GOAWAY names, and only those fail with it. One below
        // it goes on, and fails as the connection does if that ends first.
        Some(error) if error.is_go_away() && error.is_remote() && phase != Phase::Body => {
            (Kind::Closed, Delivery::NotSent)
        }
        Some(error) if error.is_io() || error.is_go_away() && error.is_remote() => (Kind::Closed, delivery),
        Some(_) => (Kind::Protocol, delivery),
        None if error.is_parse() => (Kind::Protocol, delivery),
        None => (Kind::Closed, delivery),
    };
    Error::new(kind, phase, delivery).source_from(error)
}

fn http2(error: &hyper::Error) -> Option<&h2::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}
