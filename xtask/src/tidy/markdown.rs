//! As much of Markdown as the checks need: headings, fenced blocks, links.

/// One stretch of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Heading {
        level: usize,
        text: &'a str,
    },
    /// What stands after the opening fence, and the lines between the fences.
    Block {
        language: &'a str,
        lines: Vec<&'a str>,
    },
    Line(&'a str),
}

pub(super) fn parts(page: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let inner = line.trim_start();
        if let Some(fence) = ["```", "~~~"].into_iter().find(|fence| inner.starts_with(fence)) {
            let language = inner.trim_start_matches(['`', '~']).trim();
            let block = lines.by_ref().take_while(|line| !line.trim_start().starts_with(fence));
            parts.push(Part::Block { language, lines: block.collect() });
        } else if let Some(level) = heading(line) {
            parts.push(Part::Heading { level, text: line[level..].trim() });
        } else {
            parts.push(Part::Line(line));
        }
    }
    parts
}

fn heading(line: &str) -> Option<usize> {
    let level = line.len() - line.trim_start_matches('#').len();
    ((1..=6).contains(&level) && line[level..].starts_with(' ')).then_some(level)
}

/// The anchors of a page: of its headings as the usual hosts make them, and those written as HTML.
pub(super) fn anchors(page: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for part in parts(page) {
        match part {
            Part::Heading { text, .. } => {
                let anchor = slug(text);
                let again = (1..).map(|number| format!("{anchor}-{number}"));
                let free = [anchor.clone()].into_iter().chain(again).find(|name| !anchors.contains(name));
                anchors.extend(free);
            }
            Part::Line(line) => anchors.extend(attributes(line, &["id", "name"])),
            Part::Block { .. } => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let text = without_link_targets(heading).to_lowercase().replace(' ', "-");
    text.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

/// Where the links and pictures of a line lead to.
pub(super) fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let mut targets = attributes(&line, &["href", "src", "srcset"]);
    targets
        .extend(line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).map(str::to_owned));
    let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    targets.extend(definition.and_then(|(_, target)| target.split_whitespace().next()).map(str::to_owned));
    targets
}

/// The texts of links, without where they lead to.
pub(super) fn without_link_targets(line: &str) -> String {
    let mut parts = line.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push(']');
        text.push_str(part.split_once(')').map_or("", |(_, after)| after));
    }
    text
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The values of some attributes of the HTML in a line.
fn attributes(line: &str, names: &[&str]) -> Vec<String> {
    let values = names.iter().flat_map(|name| {
        let start = format!(" {name}=\"");
        let values: Vec<_> = line.split(&start).skip(1).filter_map(|rest| rest.split_once('"')).collect();
        values.into_iter().map(|(value, _)| value.to_owned())
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_headings_blocks_and_lines() {
        let page = "# One\ntext\n```sh\n# no heading\n```\n## Two\n#no\n";
        let expected = [
            Part::Heading { level: 1, text: "One" },
            Part::Line("text"),
            Part::Block { language: "sh", lines: vec!["# no heading"] },
            Part::Heading { level: 2, text: "Two" },
            Part::Line("#no"),
        ];
        assert_eq!(parts(page), expected);
    }

    #[test]
    fn anchors_are_made_as_the_usual_hosts_make_them() {
        let page = "# One `two`, three!\n## Same\n## Same\n# 速率 限制\n<a id=\"own\"></a>\n# [A](b.md) c\n";
        assert_eq!(anchors(page), ["one-two-three", "same", "same-1", "速率-限制", "own", "a-c"]);
    }

    #[test]
    fn targets_are_found_in_links_definitions_and_html() {
        let line = "[a](b.md) and ![c](d.svg \"title\") and `[e](f.md)` and <img alt=\"x\" src=\"g.svg\">";
        assert_eq!(targets(line), ["g.svg", "b.md", "d.svg"]);
        assert_eq!(targets("[h]: i.md"), ["i.md"]);
    }
}
