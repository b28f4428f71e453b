//! Each crate's README.md is the beginning of its page: one text in two places.

use serde_json::Value;

use super::{
    Files, Metadata,
    metadata::{folder, name},
};
use crate::run::Result;

/// Says which README.md files are not what `cargo xtask readmes` writes.
pub(super) fn check(metadata: &Metadata, files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in pages(metadata, files) {
        if files.text(&file) != text {
            wrong.push(format!(
                "{file} is not the beginning of the crate's page: `cargo xtask readmes` writes it"
            ));
        }
    }
    wrong
}

/// Writes all of them.
pub(crate) fn write() -> Result {
    let (metadata, files) = (Metadata::read()?, Files::of_the_project()?);
    for (file, text) in pages(&metadata, &files) {
        std::fs::write(&file, text)?;
    }
    Ok(())
}

fn pages<'a>(metadata: &'a Metadata, files: &'a Files) -> impl Iterator<Item = (String, String)> {
    metadata.published().filter_map(|package: &Value| {
        let (name, folder) = (name(package), folder(name(package)));
        let library = files.get(&format!("{folder}/src/lib.rs"));
        let source = library.or_else(|| files.get(&format!("{folder}/src/main.rs")))?;
        Some((format!("{folder}/README.md"), readme(name, source, library.is_some())))
    })
}

fn readme(package: &str, source: &str, library: bool) -> String {
    let page =
        source.lines().skip_while(|line| !line.starts_with("//!")).map_while(|line| line.strip_prefix("//!"));
    let page: Vec<&str> = page.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let mut text = format!("# {package}\n\n");
    let mut in_code = false;
    for line in page {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            // Rust is what a block of a crate's page is in by default; elsewhere it has to be said.
            let rust = !in_code && (language.is_empty() || language.starts_with("no_run"));
            text.push_str(if rust { "```rust" } else { line });
            in_code = !in_code;
        } else if in_code {
            // Lines that documentation hides.
            if line == "#" || line.starts_with("# ") {
                continue;
            }
            text.push_str(line);
        } else if line.starts_with("# ") {
            break;
        } else if is_definition(line) {
            continue;
        } else {
            text.push_str(&without_item_links(line));
        }
        text.push('\n');
    }
    let rest =
        "The rest of the page, with what is promised and what is not offered, is in the documentation:";
    let rest = if library { format!("{rest}\n`cargo doc --open -p {package}`.\n\n") } else { String::new() };
    format!("{}\n\n{rest}{FOOTER}", text.trim_end())
}

const FOOTER: &str = "It is one of the crates of [outbound](../../README.md).\n\n\
                      Licence: [MIT](LICENSE-MIT) or [Apache-2.0](LICENSE-APACHE), at your option.\n";

/// `[name]: target`, which only rustdoc needs.
fn is_definition(line: &str) -> bool {
    line.starts_with('[') && line.contains("]: ")
}

/// Links to items are code here, since nothing but rustdoc knows where they lead. Links to the web stay.
fn without_item_links(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        text.push_str(before);
        let Some((label, behind)) = after.split_once(']') else {
            text.push('[');
            rest = after;
            continue;
        };
        let (target, behind) = match behind.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            Some((target, behind)) => (target, behind),
            None => match behind.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
                Some((_, behind)) => ("", behind),
                None => ("", behind),
            },
        };
        if target.contains("://") {
            text.push_str(&format!("[{label}]({target})"));
        } else {
            text.push_str(label);
        }
        rest = behind;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SOURCE: &str = "//! Trying again with [`Retry`] and [a wait](crate::Wait).\n//! See [RFC 9110](https://a.example/9110).\n//!\n\
                          //! ```\n//! # hidden();\n//! shown();\n//! #[derive(Debug)] struct A;\n//! ```\n//!\n//! [x]: crate::X\n//! # The pieces\n//! more\nmod a;\n";

    #[test]
    fn a_readme_is_the_beginning_of_the_page() {
        let text = readme("outbound-retry", SOURCE, true);
        let start = "# outbound-retry\n\nTrying again with `Retry` and a wait.\nSee [RFC 9110](https://a.example/9110).\n\n\
                     ```rust\nshown();\n#[derive(Debug)] struct A;\n```\n\nThe rest of the page";
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with(FOOTER) && !text.contains("more"), "{text}");
    }

    #[test]
    fn finds_a_readme_that_differs() {
        let metadata = Metadata::planted(&[json!({"name": "outbound-retry"})]);
        let faults = |readme: &str| {
            let files = [("crates/retry/src/lib.rs", SOURCE), ("crates/retry/README.md", readme)];
            check(&metadata, &Files::planted(&files))
        };
        assert_eq!(faults(&readme("outbound-retry", SOURCE, true)), [""; 0]);
        assert_eq!(faults("# outbound-retry\n").len(), 1);
    }
}
