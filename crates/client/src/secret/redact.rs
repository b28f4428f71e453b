//! Removes a key from a text, in each form in which servers, proxies and libraries repeat it.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, ops::Range};

use super::base64;

/// A key with fewer characters may be an ordinary word.
const LONG: usize = 8;
/// The names after which a short key is replaced.
const NAMES: [&str; 10] =
    ["authorization", "bearer", "basic", "api key", "apikey", "key", "token", "secret", "password", "passwd"];

pub(super) fn redact<'a>(key: &str, text: &'a [u8]) -> Cow<'a, [u8]> {
    if key.is_empty() {
        return Cow::Borrowed(text);
    }
    let pattern = Pattern::new(key);
    let mark: &[u8] = if "[redacted]".contains(key) { b"[***]" } else { b"[redacted]" };
    let mut text = Cow::Borrowed(text);
    // Replacing a key by the mark can create a new key from the text around it. So the text is searched several
    // times.
    for _ in 0..4 {
        let found = pattern.find_all(&text);
        if found.is_empty() {
            return text;
        }
        let mut clean = Vec::with_capacity(text.len());
        let mut from = 0;
        for range in found {
            clean.extend_from_slice(&text[from..range.start]);
            clean.extend_from_slice(mark);
            from = range.end;
        }
        clean.extend_from_slice(&text[from..]);
        text = Cow::Owned(clean);
    }
    if pattern.find_all(&text).is_empty() { text } else { Cow::Owned(mark.to_vec()) }
}

struct Pattern<'a> {
    key: &'a str,
    is_long: bool,
    /// For a long key: the part of its base64 that is always the same, for each of the three offsets that it can
    /// have.
    base64: Vec<Vec<u8>>,
    /// For a short key: the complete values of `Authorization: Basic`.
    basic: Vec<Vec<u8>>,
}

impl<'a> Pattern<'a> {
    fn new(key: &'a str) -> Self {
        let is_long = key.chars().count() >= LONG;
        let (mut base64, mut basic) = (Vec::new(), Vec::new());
        if is_long {
            for before in 0..3 {
                // The digits that also hold bits of the text before or after the key are left out.
                let first = [0, 2, 3][before];
                let full = (before + key.len()) * 8 / 6;
                let mut bytes = vec![0; before];
                bytes.extend_from_slice(key.as_bytes());
                base64.extend(encodings(&bytes).map(|text| text[first..full].to_vec()));
            }
        } else {
            for text in [key.to_owned(), format!(":{key}"), format!("{key}:")] {
                basic.extend(encodings(text.as_bytes()));
            }
        }
        Self { key, is_long, base64, basic }
    }

    /// The ranges where the key stands, in order and without overlap.
    fn find_all(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut at = 0;
        let mut free = 0;
        while at < text.len() {
            let range = if self.is_long { self.long_at(text, at, free) } else { self.short_at(text, at) };
            match range {
                Some(range) => {
                    (at, free) = (range.end, range.end);
                    found.push(range);
                }
                None => at += 1,
            }
        }
        found
    }

    fn long_at(&self, text: &[u8], at: usize, free: usize) -> Option<Range<usize>> {
        if let Some(end) = end_of_key(self.key, text, at) {
            return Some(at..end);
        }
        let core = self.base64.iter().find(|core| text[at..].starts_with(core))?;
        // The whole base64 word, with the user name before the key and the padding after it.
        let start = text[free..at]
            .iter()
            .rposition(|byte| !is_base64(*byte))
            .map_or(free, |before| free + before + 1);
        let end = at + core.len();
        let more = text[end..].iter().take_while(|byte| is_base64(**byte)).count();
        Some(start..end + more)
    }

    fn short_at(&self, text: &[u8], at: usize) -> Option<Range<usize>> {
        let is_end = |end: usize| text.get(end).is_none_or(|byte| !is_word(*byte));
        let end = match end_of_key(self.key, text, at).filter(|end| is_end(*end)) {
            Some(end) => end,
            None => {
                let basic = self
                    .basic
                    .iter()
                    .find(|basic| text[at..].starts_with(basic) && is_end(at + basic.len()))?;
                at + basic.len()
            }
        };
        follows_name(&text[..at]).then_some(at..end)
    }
}

/// Whether a text ends with the name of a credential, as a word or as the last part of one, and then only separators.
fn follows_name(before: &[u8]) -> bool {
    let is_separator = |byte: &u8| matches!(byte, b':' | b'=' | b'"' | b'\'' | b'\\' | b' ' | b'\t');
    let Some(end) = before.iter().rposition(|byte| !is_separator(byte)).map(|last| last + 1) else {
        return false;
    };
    if end == before.len() {
        return false;
    }
    NAMES.iter().any(|name| {
        let Some(start) = end.checked_sub(name.len()) else { return false };
        let same = before[start..end].iter().zip(name.bytes()).all(|(byte, of_name)| {
            byte.eq_ignore_ascii_case(&of_name) || (of_name == b' ' && matches!(byte, b'-' | b'_'))
        });
        same && !before[..start].last().is_some_and(u8::is_ascii_alphanumeric)
    })
}

/// The end of the key that begins here. Each of its characters may be plain, percent-encoded, or escaped as in JSON.
fn end_of_key(key: &str, text: &[u8], at: usize) -> Option<usize> {
    if text[at..].starts_with(key.as_bytes()) {
        return Some(at + key.len());
    }
    key.chars().try_fold(at, |at, character| {
        let rest = &text[at..];
        let mut buffer = [0; 4];
        let plain = character.encode_utf8(&mut buffer).as_bytes();
        // A backslash and a percent sign may be plain or begin an escape. The longer match is used.
        let length = escaped(rest, character)
            .or_else(|| percent_encoded(rest, plain))
            .or_else(|| rest.starts_with(plain).then_some(plain.len()))?;
        Some(at + length)
    })
}

fn percent_encoded(text: &[u8], plain: &[u8]) -> Option<usize> {
    if plain == b" " && text.first() == Some(&b'+') {
        return Some(1);
    }
    plain.iter().try_fold(0, |at, byte| {
        let code = text.get(at..at + 3).filter(|code| code[0] == b'%')?;
        (hex(&code[1..])? == u32::from(*byte)).then_some(at + 3)
    })
}

fn escaped(text: &[u8], character: char) -> Option<usize> {
    let (b'\\', escape) = (*text.first()?, *text.get(1)?) else { return None };
    if escape != b'u' {
        let meant = match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => return None,
        };
        return (character == char::from(meant)).then_some(2);
    }
    let mut buffer = [0; 2];
    character.encode_utf16(&mut buffer).iter().try_fold(0, |at, unit| {
        let code = text.get(at..at + 6).filter(|code| code.starts_with(b"\\u"))?;
        (hex(&code[2..])? == u32::from(*unit)).then_some(at + 6)
    })
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || !byte.is_ascii()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// The base64 of some bytes in both alphabets (RFC 4648), with padding.
fn encodings(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    [base64::STANDARD, base64::URL_SAFE].map(|last| base64::encode(bytes, last)).into_iter()
}
