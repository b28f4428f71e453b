//! Content codings of bodies (RFC 9110, section 8.4): which ones are known, and how they are encoded and decoded.

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod decoded;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod decoding;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod encoded;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod whole;

use bytes::Bytes;
use http::{HeaderMap, Version, header};

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
pub(crate) use self::{
    decoded::ASKED,
    encoded::{Coding, Encoded, Encoder},
};
use crate::{
    error::{Error, Kind},
    reply_body::ReplyBody,
};

/// The most codings that one body may have, one on top of the other.
const MOST: usize = 3;

/// The codings of a body, in the order in which they were applied, in lower case.
pub(crate) fn of(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect()
}

/// The error for a body with a transfer coding (RFC 9112, section 7) other than `chunked`: the client did not ask for
/// one, and cannot decode it.
pub(crate) fn unasked(headers: &HeaderMap) -> Option<Error> {
    let values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let coding = codings.find(|coding| {
        let coding = coding.trim_ascii();
        !["", "chunked", "identity"].iter().any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
    })?;
    let coding = String::from_utf8_lossy(coding.trim_ascii());
    let why = format!("the reply has the transfer coding `{coding}`, which was not asked for");
    Some(Error::body(Kind::Decode).message(why))
}

/// The body without these codings; or a body that fails with the reason when it is read.
pub(crate) fn undo(body: ReplyBody, version: Version, codings: &[String]) -> Result<ReplyBody, ReplyBody> {
    if codings.len() > MOST {
        let error =
            Error::body(Kind::Decode).message(format!("the reply's body has more than {MOST} codings"));
        return Err(body.refuse(version, error));
    }
    if let Some(error) = codings.iter().find_map(|coding| unknown(coding)) {
        return Err(body.refuse(version, error));
    }
    Ok(undo_known(body, version, codings))
}

/// Decodes a body that is in memory, according to the headers that came with it. For callers that asked for
/// `identity` and so get bodies as they came.
///
/// `None` if there is no coding, or if the coding cannot be undone: it is unknown, its feature is not compiled in,
/// the body is not really coded, or the decoded body has more than `max` bytes.
pub fn decode(headers: &HeaderMap, body: &Bytes, max: usize) -> Option<Bytes> {
    let codings = of(headers);
    if codings.is_empty() || codings.len() > MOST {
        return None;
    }
    codings.iter().rev().try_fold(body.clone(), |body, coding| undo_whole(coding, body, max))
}

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
fn undo_whole(coding: &str, body: Bytes, max: usize) -> Option<Bytes> {
    whole::undo(coding, body, max).ok()
}

#[cfg(not(any(feature = "gzip", feature = "brotli", feature = "zstd")))]
fn undo_whole(_: &str, _: Bytes, _: usize) -> Option<Bytes> {
    None
}

fn unknown(coding: &str) -> Option<Error> {
    let error = Error::body(Kind::Decode);
    let feature = match coding {
        "gzip" | "x-gzip" | "deflate" => ("gzip", cfg!(feature = "gzip")),
        "br" => ("brotli", cfg!(feature = "brotli")),
        "zstd" => ("zstd", cfg!(feature = "zstd")),
        _ => {
            // Only as much of the server's text as the name of a coding needs.
            let name: String = coding.chars().filter(char::is_ascii_graphic).take(24).collect();
            return Some(error.message(format!("the reply's body has a coding that is not known: `{name}`")));
        }
    };
    let (feature, is_there) = feature;
    (!is_there).then(|| {
        error.message(format!(
            "the reply's body has the coding `{coding}`, which was not asked for and takes the feature `{feature}` of \
             outbound-client to undo"
        ))
    })
}

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
fn undo_known(body: ReplyBody, version: Version, codings: &[String]) -> ReplyBody {
    decoded::undo(body, version, codings)
}

/// No coding is compiled in, so this is never called.
#[cfg(not(any(feature = "gzip", feature = "brotli", feature = "zstd")))]
fn undo_known(body: ReplyBody, _: Version, _: &[String]) -> ReplyBody {
    body
}
