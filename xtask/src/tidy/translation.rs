//! The Chinese README says what the README says: the same headings, the same commands, the same numbers.

use std::collections::BTreeSet;

use super::{
    Files,
    markdown::{Part, parts, without_link_targets},
};

const ORIGINAL: &str = "README.md";
const TRANSLATION: &str = "README.zh-CN.md";

pub(super) fn check(files: &Files) -> Vec<String> {
    let Some(translation) = files.get(TRANSLATION) else {
        println!("tidy: skipped: there is no {TRANSLATION} to compare with {ORIGINAL}");
        return Vec::new();
    };
    compare(files.text(ORIGINAL), translation)
}

fn compare(original: &str, translation: &str) -> Vec<String> {
    let (original, translation) = (sections(original), sections(translation));
    let levels = |sections: &[Section<'_>]| sections.iter().map(|section| section.level).collect::<Vec<_>>();
    if levels(&original) != levels(&translation) {
        let (ours, theirs) = (levels(&original), levels(&translation));
        return vec![format!(
            "{TRANSLATION}: its headings have the levels {theirs:?}, those of {ORIGINAL} {ours:?}"
        )];
    }
    let mut wrong = Vec::new();
    for (ours, theirs) in original.iter().zip(&translation) {
        if ours.blocks != theirs.blocks {
            let shown = difference(&ours.blocks, &theirs.blocks);
            wrong.push(format!(
                "{TRANSLATION}: under \"{}\" its code differs from \"{}\": {shown}",
                theirs.heading, ours.heading
            ));
        }
        if ours.numbers != theirs.numbers {
            let only = |one: &Section<'_>, other: &Section<'_>| {
                one.numbers.difference(&other.numbers).cloned().collect::<Vec<_>>().join(", ")
            };
            wrong.push(format!(
                "{TRANSLATION}: under \"{}\" other numbers than under \"{}\": only here {}; only there {}",
                theirs.heading,
                ours.heading,
                only(theirs, ours),
                only(ours, theirs)
            ));
        }
    }
    wrong
}

fn difference(ours: &[Vec<String>], theirs: &[Vec<String>]) -> String {
    if ours.len() != theirs.len() {
        return format!("{} blocks and not {}", theirs.len(), ours.len());
    }
    let (ours, theirs) = (ours.concat(), theirs.concat());
    let at = (0..).find(|line| ours.get(*line) != theirs.get(*line)).unwrap_or_default();
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
    format!("`{}` and not `{}`", line(&theirs), line(&ours))
}

/// A heading and what stands under it.
struct Section<'a> {
    level: usize,
    heading: &'a str,
    /// Blocks of code, without comments and without what both languages say differently.
    blocks: Vec<Vec<String>>,
    numbers: BTreeSet<String>,
}

fn sections(page: &str) -> Vec<Section<'_>> {
    let new = |level, heading| Section { level, heading, blocks: Vec::new(), numbers: BTreeSet::new() };
    let mut sections = vec![new(0, "")];
    for part in parts(page) {
        if let Part::Heading { level, text } = part {
            sections.push(new(level, text));
        }
        let section = sections.last_mut().expect("it starts with one");
        match part {
            Part::Heading { text: line, .. } | Part::Line(line) => section.numbers.extend(numbers(line)),
            Part::Block { language, lines } => {
                let language = language.split(',').next().unwrap_or_default();
                match language {
                    // What a program printed: the same program printed it.
                    "sh" | "toml" | "rust" | "json" | "text" => section.blocks.push(code(language, &lines)),
                    _ => section.numbers.extend(lines.iter().flat_map(|line| numbers(line))),
                }
            }
        }
    }
    sections
}

/// Lines without comments; in Rust and JSON the texts between quotes may be translated.
fn code(language: &str, lines: &[&str]) -> Vec<String> {
    let comment = match language {
        "sh" | "toml" => "#",
        "rust" => "//",
        _ => "\u{0}",
    };
    let mut code = Vec::new();
    for line in lines {
        let at = line
            .match_indices(comment)
            .find(|(at, _)| *at == 0 || line[..*at].ends_with(char::is_whitespace));
        let line = line[..at.map_or(line.len(), |(at, _)| at)].trim_end();
        let line = if matches!(language, "rust" | "json") { without_prose(line) } else { line.to_owned() };
        code.extend((!line.is_empty()).then_some(line));
    }
    code
}

/// A text between quotes is prose where it has a space in it, or a letter outside of ASCII.
fn without_prose(line: &str) -> String {
    let prose = |text: &str| text.contains(' ') || !text.is_ascii();
    let parts = line.split('"').enumerate();
    let kept = parts.map(|(number, text)| if number % 2 == 1 && prose(text) { "..." } else { text });
    kept.collect::<Vec<_>>().join("\"")
}

/// The numbers of a line of prose: `2,000` (which is `2000`), `0.98`, `429`; not those in the targets of links.
fn numbers(line: &str) -> Vec<String> {
    let line = without_link_targets(line);
    let inside = |letter: char| letter.is_ascii_digit() || matches!(letter, ',' | '.');
    let runs = line.split(|letter| !inside(letter)).map(|run| run.trim_matches([',', '.']));
    runs.filter(|run| !run.is_empty()).map(|run| run.replace(',', "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# outbound\nSends 2,000 requests.\n## Start\n```sh\ncargo test # quick\n```\n\
                        ```rust\nprompt(\"Name three rivers.\"); // asks\n```\n";
    const SAME: &str = "# outbound\n发送 2,000 个请求。\n## 开始\n```sh\ncargo test # 快\n```\n\
                        ```rust\nprompt(\"说出三条河流\"); // 提问\n```\n";

    #[test]
    fn a_page_in_step_has_no_fault() {
        assert_eq!(compare(PAGE, SAME), [""; 0]);
    }

    #[test]
    fn finds_a_heading_too_few() {
        assert!(compare(PAGE, &SAME.replace("## 开始", "### 开始"))[0].contains("headings"));
    }

    #[test]
    fn finds_another_command() {
        let wrong = compare(PAGE, &SAME.replace("cargo test", "cargo check"));
        assert!(wrong[0].contains("`cargo check` and not `cargo test`"), "{wrong:?}");
        assert!(compare(PAGE, &SAME.replace("prompt(", "ask("))[0].contains("code differs"));
        assert!(
            compare(PAGE, &SAME.replace("```sh\ncargo test # 快\n```\n", ""))[0]
                .contains("1 blocks and not 2")
        );
    }

    #[test]
    fn finds_another_number() {
        assert_eq!(compare(PAGE, &SAME.replace("2,000", "2000")), [""; 0]);
        let wrong = compare(PAGE, &SAME.replace("2,000", "200"));
        assert!(wrong[0].contains("only here 200; only there 2000"), "{wrong:?}");
    }

    #[test]
    fn is_skipped_only_while_there_is_no_translation() {
        assert_eq!(check(&Files::planted(&[(ORIGINAL, PAGE)])), [""; 0]);
        let other = SAME.replace("2,000", "3");
        assert_eq!(check(&Files::planted(&[(ORIGINAL, PAGE), (TRANSLATION, &other)])).len(), 1);
    }
}
