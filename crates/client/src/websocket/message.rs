//! Messages and close frames of a WebSocket.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;

/// What a [`WebSocket`](crate::WebSocket) sends and receives: a complete text or binary message. Pings, pongs and
/// fragments are handled by the WebSocket itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text, in UTF-8.
    Text(ByteString),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// The text; `None` for bytes.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The content, for both kinds.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The content, for both kinds.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<ByteString> for Message {
    fn from(text: ByteString) -> Self {
        Self::Text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

/// Why a side closed a WebSocket (RFC 6455, section 7.4).
///
/// `Debug` shows the code only: a reason is the server's text.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseFrame {
    /// 1000 for a normal end, 1001 if a side goes away; from 4000 on, codes of the application.
    pub code: u16,
    /// Text for people, at most 123 bytes.
    pub reason: ByteString,
}

impl CloseFrame {
    /// The most bytes of a reason: a control frame has room for 125, and the code needs two.
    pub(super) const MAX_REASON: usize = 123;

    pub(super) fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Whether the code means a planned end. Other codes report a problem.
    pub(super) fn is_normal(&self) -> bool {
        matches!(self.code, 1000 | 1001)
    }

    /// Whether a client may send this code. Some codes are never sent (1005, 1006, 1015).
    pub(super) fn may_be_sent(&self) -> bool {
        matches!(self.code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Debug for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseFrame").field("code", &self.code).finish_non_exhaustive()
    }
}
