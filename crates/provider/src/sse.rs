//! Server-sent events in a body that is complete: WHATWG HTML, section 9.2.6.

use std::borrow::Cow;

use crate::json::without_mark;

/// Whether these bytes are events. Events begin with a field or a comment, perhaps behind blank lines.
pub(crate) fn is_events(body: &[u8]) -> bool {
    let start = without_mark(body).trim_ascii_start();
    [&b"data:"[..], b"event:", b"id:", b"retry:", b":"].iter().any(|field| start.starts_with(field))
}

/// The events, each with its name, which may be empty, and its data. The last event counts even without a blank line
/// behind it, because the end of the body ends it.
pub(crate) fn events(body: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let mut rest = without_mark(body);
    std::iter::from_fn(move || {
        let mut name = Cow::Borrowed("");
        let mut data: Option<Cow<'_, str>> = None;
        while !rest.is_empty() {
            let line = line(&mut rest);
            if line.is_empty() && data.is_some() {
                break;
            }
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default();
            let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
            match &line[..colon] {
                b"event" => name = value,
                b"data" => match &mut data {
                    None => data = Some(value),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push('\n');
                        data.push_str(&value);
                    }
                },
                // A blank line ends an event without data, and its name with it.
                b"" if line.is_empty() => name = Cow::Borrowed(""),
                _ => {}
            }
        }
        data.map(|data| (name, data))
    })
}

/// Takes a line and its end, which is a line feed, a carriage return or both.
fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r').unwrap_or(rest.len());
    let (line, behind) = rest.split_at(end);
    let behind = behind.strip_prefix(b"\r\n").or_else(|| behind.get(1..)).unwrap_or_default();
    *rest = behind;
    line
}
