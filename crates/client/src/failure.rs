use std::error::Error as StdError;

use h2::Reason;

use crate::error::{Delivery, Error, Kind, Phase};

/// What a failed connection means for the request on it.
pub(crate) fn failure(error: hyper::Error, phase: Phase, delivery: Delivery) -> Error {
    let (kind, delivery) = match http2(&error) {
        // RFC 9113, section 8.7: a refused stream was not processed, and may be sent again whatever it does.
        //
        // A GOAWAY proves as much for streams above the last one it names, but streams below it fail with the very
        // same error when the connection ends early. So it proves nothing here.
        Some(error) if error.is_reset() && error.is_remote() => match error.reason() {
            Some(Reason::REFUSED_STREAM) if phase != Phase::Body => (Kind::Reset, Delivery::NotSent),
            _ => (Kind::Reset, delivery),
        },
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
