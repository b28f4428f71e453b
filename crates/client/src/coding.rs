//! The codings of bodies (RFC 9110, section 8.4): which are known, doing and undoing them.

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

/// The most codings that one body may have, on top of one another.
const MOST: usize = 3;

/// The codings of a body in the order in which they were done, in lower case.
pub(crate) fn of(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect()
}

/// What is wrong with a body that was coded for its way (RFC 9112, section 7) with more than `chunked`: nobody asked for
/// that, and nothing undoes it.
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

/// A body without these codings; or one that cannot be read, and says why.
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

/// Undoes the codings of a body that is in memory, by the headers that came with it: for who asked for `identity`, and so has
/// bodies as they come.
///
/// `None` where there is no coding, or none that can be undone: it is unknown, its feature is not compiled in, the body only
/// says that it has one, or more than `max` bytes come of it.
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
            // Not more of it than a coding's name needs: it is the server's.
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

/// Nothing is known, so nothing comes here.
#[cfg(not(any(feature = "gzip", feature = "brotli", feature = "zstd")))]
fn undo_known(body: ReplyBody, _: Version, _: &[String]) -> ReplyBody {
    body
}
