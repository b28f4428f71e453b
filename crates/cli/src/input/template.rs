//! Templates: a text with names in braces, which stand for members of the line.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The members of a line, by name.
pub(super) type Members = BTreeMap<String, Box<RawValue>>;

/// A text with names of members of the line.
#[derive(Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Name(String),
}

impl Template {
    /// Reads `Translate into {language}: {prompt}`; `{{` and `}}` are braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            plain.push_str(before);
            let (brace, more) = brace.split_at(1);
            if let Some(more) = more.strip_prefix(brace) {
                plain.push_str(brace);
                rest = more;
                continue;
            }
            let name = more.split_once('}').filter(|(name, _)| brace == "{" && is_name(name));
            let Some((name, more)) = name else {
                let line = 1 + text[..text.len() - rest.len() + at].matches('\n').count();
                return Err(format!(
                    "the `{brace}` on line {line} of the template is not part of a name in braces, such as {{prompt}}; to have a \
                     brace in the text, write `{brace}{brace}`"
                ));
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Name(name.trim().to_owned()));
            rest = more;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        match pieces.iter().any(|piece| matches!(piece, Piece::Name(_))) {
            true => Ok(Self(pieces)),
            false => Err(String::from(
                "it has no name in braces, such as {prompt}, so all requests would be the same",
            )),
        }
    }

    /// The text for a line with these members. `{prompt}` is the member `column`.
    pub(super) fn render(&self, members: &Members, column: &str) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Name(name) => {
                    let name = if name == "prompt" { column } else { name };
                    let value = members.get(name).ok_or_else(|| {
                        let there: Vec<_> = members.keys().map(|name| format!("{{{name}}}")).collect();
                        format!("the template has {{{name}}}, and the line has only {}", there.join(", "))
                    })?;
                    text.push_str(&shown(name, value)?);
                }
            }
        }
        Ok(text)
    }
}

/// Whether a text in braces can be a name, and is not code or JSON.
fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/' | '(' | ')' | '#');
    !text.trim().is_empty() && text.chars().all(is_part)
}

/// A member as text: a string without its quotes, anything else as JSON.
fn shown(name: &str, value: &RawValue) -> Result<String, String> {
    match value.get() {
        "null" => Err(format!("the template has {{{name}}}, which is null in the line")),
        text if text.starts_with('"') => {
            serde_json::from_str(text).map_err(|error| format!("`{name}` is not a string: {error}"))
        }
        json => Ok(json.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> Result<String, String> {
        let line = r#"{"q": "Why\n?", "n": 1.50, "list": [1, 2], "none": null}"#;
        let members = serde_json::from_str(line).expect("members");
        Template::parse(template).and_then(|template| template.render(&members, "q"))
    }

    #[test]
    fn names_are_replaced_and_doubled_braces_are_braces() {
        assert_eq!(render("{prompt}").as_deref(), Ok("Why\n?"));
        assert_eq!(render("a {q} {{\"n\": {n}}} { list }").as_deref(), Ok("a Why\n? {\"n\": 1.50} [1, 2]"));
        assert_eq!(render("{{{n}}}").as_deref(), Ok("{1.50}"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (template, says) in [
            ("{qestion}", "the template has {qestion}, and the line has only {list}, {n}, {none}, {q}"),
            ("{none}", "the template has {none}, which is null in the line"),
            ("a\n{\"x\": {n}}", "the `{` on line 2 of the template is not part of a name"),
            ("{n", "the `{` on line 1 of"),
            ("{n} }", "the `}` on line 1 of"),
            ("{}", "the `{` on line 1 of"),
            ("Name a river.", "it has no name in braces"),
        ] {
            let wrong = render(template).expect_err(template);
            assert!(wrong.starts_with(says), "{template}: {wrong}");
        }
    }
}
