//! Pages of markup where JSON was asked for. They come from an edge, a proxy or a log-in page, and only their titles are
//! of use.

/// The message of a text that is markup: the title of a page, or the message of an XML error. `None` for other text.
pub(crate) fn message(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{FEFF}').trim_start();
    let start = text.get(..4_096.min(text.len())).unwrap_or(text).to_ascii_lowercase();
    let page = ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| start.contains(tag));
    // This is markup. `<400> InternalError`, as Model Studio writes, is not.
    let is_tag = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic() || "!?/".contains(c));
    if !page && !text.strip_prefix('<').is_some_and(is_tag) {
        return None;
    }
    if !page && let Some(message) = element(text, "message") {
        return Some(plain(message));
    }
    let title = ["title", "h1", "h2"].iter().find_map(|name| element(text, name)).map(plain);
    let kind = if page { "an HTML page" } else { "a page of markup" };
    Some(match title.filter(|title| !title.is_empty()) {
        Some(title) => format!("{kind}: {title}"),
        None => kind.to_owned(),
    })
}

/// The content of the first element of this name. The name is in lower case.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let starts = text.match_indices('<').map(|(at, _)| at + 1);
    for at in starts.take(1_000) {
        let rest = &text[at..];
        let Some(found) = rest.get(..name.len()) else { continue };
        let behind = &rest[name.len()..];
        if !found.eq_ignore_ascii_case(name) || !behind.starts_with(['>', ' ', '\n', '\t', '\r']) {
            continue;
        }
        let (_, content) = behind.split_once('>')?;
        let ends = content.match_indices("</").map(|(at, _)| at);
        let end = ends.take(1_000).find(|&at| {
            content[at + 2..].get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name))
        });
        return Some(&content[..end.unwrap_or(content.len())]);
    }
    None
}

/// A text without its tags, on one line.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut in_tag = false;
    for char in text.chars().take(400) {
        match char {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            _ if in_tag => {}
            _ => plain.push(char),
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}
