//! Parses a `Set-Cookie` header.

#[cfg(test)]
mod tests;

use super::{cookie::SameSite, date};

/// A `Set-Cookie` header as it was written. [`accept`](super::rules::accept) decides what is kept of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SetCookie<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// In seconds since 1970, by the server's clock.
    pub(super) expires: Option<i64>,
    pub(super) max_age: Option<i64>,
    /// Without a leading dot, in lower case.
    pub(super) domain: Option<String>,
    pub(super) path: Option<&'a str>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: SameSite,
}

const MAX_NAME_AND_VALUE: usize = 4096;
const MAX_ATTRIBUTE: usize = 1024;

/// Parses a header (RFC 6265bis, section 5.6). `None` if it is not a cookie.
pub(super) fn parse(text: &str) -> Option<SetCookie<'_>> {
    if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return None;
    }
    let mut parts = text.split(';');
    let pair = parts.next().unwrap_or_default();
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let (name, value) = (trim(name), trim(value));
    if !is_pair(name, value) {
        return None;
    }
    let mut cookie = SetCookie { name, value, ..SetCookie::default() };
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        cookie.set(&trim(name).to_ascii_lowercase(), trim(value));
    }
    Some(cookie)
}

/// Whether name and value are within their bounds on length.
pub(super) fn is_pair(name: &str, value: &str) -> bool {
    !(name.is_empty() && value.is_empty()) && name.len() + value.len() <= MAX_NAME_AND_VALUE
}

impl<'a> SetCookie<'a> {
    /// If an attribute appears more than once, the last one counts.
    fn set(&mut self, name: &str, value: &'a str) {
        if value.len() > MAX_ATTRIBUTE {
            return;
        }
        match name {
            "expires" => self.expires = date::parse(value).or(self.expires),
            "max-age" => self.max_age = seconds(value).or(self.max_age),
            "domain" => self.domain = Some(value.strip_prefix('.').unwrap_or(value).to_ascii_lowercase()),
            "path" => self.path = Some(value).filter(|path| path.starts_with('/')),
            "secure" => self.secure = true,
            "httponly" => self.http_only = true,
            "samesite" => {
                self.same_site = match value.to_ascii_lowercase().as_str() {
                    "none" => SameSite::None,
                    "lax" => SameSite::Lax,
                    "strict" => SameSite::Strict,
                    _ => SameSite::Unset,
                }
            }
            _ => {}
        }
    }
}

/// The number of `Max-Age`. A number beyond the range becomes the end of the range.
fn seconds(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is_negative = digits.len() < value.len();
    Some(value.parse().unwrap_or(if is_negative { i64::MIN } else { i64::MAX }))
}

/// Without spaces and tabs at both ends.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
