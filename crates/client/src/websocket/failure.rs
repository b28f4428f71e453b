//! Turns the codec's errors into the errors of this client.

use tungstenite::{
    Error as CodecError,
    error::{CapacityError, ProtocolError},
};

use super::CloseFrame;
use crate::error::{Delivery, Error, Kind, Phase};

/// The error in this crate's terms, and the close frame for the server if it must be told.
pub(super) fn failure(error: CodecError) -> (Error, Option<CloseFrame>) {
    match error {
        CodecError::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | CodecError::ConnectionClosed
        | CodecError::AlreadyClosed => (replied(Kind::Closed), None),
        CodecError::Io(error) => (replied(Kind::Closed).source_from(error), None),
        CodecError::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
            let error = Error::too_large("max_body", max_size).during(Phase::Upgraded);
            (error, Some(CloseFrame::new(1009, "message too big")))
        }
        CodecError::Utf8(why) => {
            let error = replied(Kind::Protocol).text("the server sent text that is not UTF-8");
            (error.source_from(why), Some(CloseFrame::new(1007, "not UTF-8")))
        }
        error => {
            let why = replied(Kind::Protocol).text("the server broke the WebSocket protocol");
            (why.source_from(error), Some(CloseFrame::new(1002, "protocol error")))
        }
    }
}

/// An error of an open WebSocket.
pub(super) fn replied(kind: Kind) -> Error {
    Error::new(kind, Phase::Upgraded, Delivery::Replied)
}
