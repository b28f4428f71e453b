//! Turns a URL of the caller into an origin and a request target (RFC 9112, section 3.2). Text that different parsers
//! read differently is refused.

mod shared;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Uri, uri::PathAndQuery};

pub(crate) use self::shared::Target;
use crate::{
    error::{Error, Kind},
    origin::Origin,
};

/// Splits an absolute URL into origin and target. `None` if `url` is a path.
pub(crate) fn absolute(url: &str) -> Result<Option<(Origin, String)>, Error> {
    if url.starts_with('/') {
        return Ok(None);
    }
    let Some(colon) = url.find("://").filter(|at| !url[..*at].contains(['/', '?', '#'])) else {
        return Ok(None);
    };
    let (authority, rest) =
        url[colon + 3..].split_at(url[colon + 3..].find(['/', '?', '#']).unwrap_or(url.len() - colon - 3));
    let uri = format!("{}://{authority}/", &url[..colon]);
    let uri = uri.parse::<Uri>().map_err(|_| invalid("the URL is not valid before its path"))?;
    let origin = Origin::of(&uri)?;
    // A fragment is never sent (RFC 9110, section 4.2.5).
    let rest = rest.split('#').next().unwrap_or_default();
    let mut target = String::with_capacity(usize::from(!rest.starts_with('/')) + rest.len());
    if !rest.starts_with('/') {
        target.push('/');
    }
    push_encoded(&mut target, rest)?;
    Ok(Some((origin, target)))
}

/// Resolves a reference (RFC 3986, section 5.2) against an origin and a target on it.
pub(crate) fn resolve(origin: &Origin, base: &str, reference: &[u8]) -> Result<(Origin, String), Error> {
    let reference = str::from_utf8(reference).map_err(|_| invalid("the URL is not UTF-8"))?.trim();
    // A fragment is never sent.
    let reference = reference.split('#').next().unwrap_or_default();
    let end = reference.find([':', '/', '?']).unwrap_or(reference.len());
    let absolute_url = if reference[end..].starts_with(':') {
        let (scheme, rest) = reference.split_at(end);
        if !rest.starts_with("://") {
            return Err(invalid("the URL's scheme is not http or https"));
        }
        Some(format!("{}{rest}", scheme.to_ascii_lowercase()))
    } else {
        reference.starts_with("//").then(|| format!("{}:{reference}", origin.scheme()))
    };
    if let Some(url) = absolute_url {
        let (origin, target) =
            absolute(&url)?.ok_or_else(|| invalid("the URL's scheme is not http or https"))?;
        return Ok((origin, without_dots(&target)));
    }
    let path = base.split('?').next().unwrap_or_default();
    let mut target = String::with_capacity(base.len() + reference.len());
    match reference.chars().next() {
        None => target.push_str(base),
        Some('/') => {}
        Some('?') => target.push_str(path),
        Some(_) => target.push_str(&path[..=path.rfind('/').unwrap_or(0)]),
    }
    push_encoded(&mut target, reference)?;
    Ok((origin.clone(), without_dots(&target)))
}

/// Removes `.` and `..` segments from a path that begins with a slash (RFC 3986, section 5.2.4).
fn without_dots(target: &str) -> String {
    if !segments(target).any(is_dots) {
        return target.to_owned();
    }
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if !is_dots(segment) {
            kept.push(segment);
            continue;
        }
        if !segment.to_ascii_lowercase().replace("%2e", ".").eq(".") {
            kept.pop();
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// A target without those pairs of its query that have one of these keys.
pub(crate) fn without_pairs(target: &str, keys: &[String]) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let is_kept = |pair: &&str| {
        let key = decoded(pair.split('=').next().unwrap_or_default());
        !keys.iter().any(|secret| key.eq_ignore_ascii_case(secret.as_bytes()))
    };
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// The decoded text of a part of a query.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let hex = bytes.as_slice().get(..2).and_then(|hex| str::from_utf8(hex).ok());
        decoded.push(match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.nth(1);
                byte
            }
            (b'+', _) => b' ',
            _ => byte,
        });
    }
    decoded
}

/// The part of a URL that may be logged.
pub(crate) fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// A path below a base path. It cannot lead out of the base path.
pub(crate) fn join(base: &str, path: &str) -> Result<Target, Error> {
    if path.starts_with("//") {
        return Err(invalid("a path that begins with two slashes would name another host"));
    }
    let ordinary = path.bytes().all(|byte| ORDINARY[usize::from(byte)]);
    if !ordinary && path.contains('#') {
        return Err(invalid("a path must not have a fragment; write # as %23"));
    }
    if !ordinary && segments(path).any(is_dots) {
        return Err(invalid("a path must not have `.` or `..` segments"));
    }
    let goes_on = path.starts_with('/') || (!base.is_empty() && (path.is_empty() || path.starts_with('?')));
    let mut target = Target::with_capacity(base.len() + usize::from(!goes_on) + path.len());
    target.push(base);
    if !goes_on {
        target.push("/");
    }
    if ordinary {
        target.push(path);
    } else {
        let mut encoded = String::with_capacity(path.len());
        push_encoded(&mut encoded, path)?;
        target.push(&encoded);
    }
    Ok(target)
}

/// The bytes that most paths and queries consist of: they need no encoding and have no special meaning.
const ORDINARY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'?' | b'=' | b'&');
        byte += 1;
    }
    table
};

/// A base path in the form that [`join`] expects, without its last slash; and the query of a base URL.
pub(crate) fn base(target: &str) -> Result<(String, String), Error> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if segments(path).any(is_dots) {
        return Err(invalid("a base URL must not have `.` or `..` segments"));
    }
    Ok((path.trim_end_matches('/').to_owned(), query.to_owned()))
}

pub(crate) fn finish(target: impl Into<Bytes>) -> Result<PathAndQuery, Error> {
    PathAndQuery::from_maybe_shared(target.into()).map_err(|_| invalid("the path is not valid"))
}

/// Appends a key or a value of a query.
pub(crate) fn push_component(out: &mut String, text: &str, space: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte.into()),
            b' ' => out.push_str(space),
            byte => push_percent(out, byte),
        }
    }
}

/// Appends a path and query. Characters that a URL cannot have are percent-encoded.
fn push_encoded(out: &mut String, text: &str) -> Result<(), Error> {
    let plain = |byte: &u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{'..=b'}')
    };
    if text.bytes().all(|byte| plain(&byte)) {
        out.push_str(text);
        return Ok(());
    }
    for byte in text.bytes() {
        match byte {
            b'\\' => {
                return Err(invalid("some servers read a backslash in a URL as a slash; write it as %5C"));
            }
            byte if byte.is_ascii_control() => return Err(invalid("the URL has control characters")),
            byte if plain(&byte) => out.push(byte.into()),
            byte => push_percent(out, byte),
        }
    }
    Ok(())
}

fn push_percent(out: &mut String, byte: u8) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    out.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('?').next().unwrap_or_default().split('/')
}

/// Whether a segment is `.` or `..`, also with encoded dots: servers decode those before they resolve a path.
fn is_dots(segment: &str) -> bool {
    [".", "..", "%2e", ".%2e", "%2e.", "%2e%2e"].iter().any(|dots| segment.eq_ignore_ascii_case(dots))
}

fn invalid(why: &'static str) -> Error {
    Error::invalid(Kind::Request, why)
}
