//! Rust source without its comments and texts, so that only code is searched.

/// The code of a source file: comments are gone, what stands between quotes is gone, line breaks stay.
pub(super) fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_text(rest).filter(|_| !code.ends_with(is_word)) {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(rest[..skipped].chars().filter(|letter| *letter == '\n'));
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

/// The identifiers and keywords of some code, with the number of their line.
pub(super) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(line, text)| {
        let words = text.split(|letter| !is_word(letter)).filter(|word| !word.is_empty());
        words.map(move |word| (line + 1, word))
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a raw text such as `r#"..."#`, where one begins here.
fn raw_text(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inner = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - inner.len();
    Some(inner.find(&end).map_or(text.len(), |found| start + found + end.len()))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if !escaped && letter == quote {
            return at + 1;
        }
        escaped = !escaped && letter == '\\';
    }
    text.len()
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars().skip(1);
    letters.next() == Some('\\') || letters.next() == Some('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(source: &str) -> Vec<String> {
        words(&code(source)).map(|(_, word)| word.to_owned()).collect()
    }

    #[test]
    fn comments_and_texts_are_gone() {
        assert_eq!(seen("a /* b /* c */ d */ e // f\n g"), ["a", "e", "g"]);
        assert_eq!(seen("a(\"b \\\" c\", 'd', '\\'', \"e\") f"), ["a", "f"]);
        assert_eq!(seen("a(r#\"b \" c\"#, br\"d\") e"), ["a", "e"]);
        assert_eq!(seen("fn a<'b>(c: &'b str) {}"), ["fn", "a", "b", "c", "b", "str"]);
    }

    #[test]
    fn lines_are_counted_as_in_the_source() {
        let code = code("/* one\n two */ \"three\n four\"\n five");
        assert_eq!(words(&code).collect::<Vec<_>>(), [(4, "five")]);
    }
}
