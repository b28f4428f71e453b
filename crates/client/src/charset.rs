//! The charset of a reply's text, from its `content-type`.

use bytes::{Buf, Bytes};
use encoding_rs::{Encoding, UTF_8};
use http::{HeaderMap, header};

use crate::error::{Error, Kind};

/// How the text of a reply is encoded, according to its content type. UTF-8 if the content type names no charset.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Charset {
    Known(&'static Encoding),
    Unknown,
}

impl Charset {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let parameters = content_type.unwrap_or_default().split(';').skip(1);
        let label = parameters.filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        match label {
            Some(label) if !label.is_empty() => {
                Encoding::for_label(label.as_bytes()).map_or(Self::Unknown, Self::Known)
            }
            _ => Self::Known(UTF_8),
        }
    }

    /// The text. A byte order mark is removed, and it counts more than the content type (WHATWG Encoding, section 6).
    /// Bytes that are not valid in the charset are an error.
    pub(crate) fn decode(self, mut bytes: Bytes) -> Result<String, Error> {
        let encoding = match (Encoding::for_bom(&bytes), self) {
            (Some((encoding, length)), _) => {
                bytes.advance(length);
                encoding
            }
            (None, Self::Known(encoding)) => encoding,
            (None, Self::Unknown) => return Err(error("the reply names a charset that is not known")),
        };
        if encoding == UTF_8 {
            return String::from_utf8(bytes.into())
                .map_err(|cause| error("the reply's body is not UTF-8").source_from(cause.utf8_error()));
        }
        let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
        text.map(String::from).ok_or_else(|| error("the reply's body is not in the charset that it names"))
    }
}

fn error(why: &'static str) -> Error {
    Error::body(Kind::Decode).text(why)
}
