//! Every relative link of every Markdown file leads to something, and so does its anchor.

use super::{
    Files,
    markdown::{Part, anchors, parts, targets},
};

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (page, text) in files.ending(".md") {
        let lines = parts(text).into_iter().filter_map(|part| match part {
            Part::Heading { text, .. } => Some(text),
            Part::Line(line) => Some(line),
            Part::Block { .. } => None,
        });
        for target in lines.flat_map(targets).filter(|target| is_relative(page, target)) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() { page.to_owned() } else { resolve(page, path) };
            if !files.has(&path) {
                wrong.push(format!("{page}: the link to {target} leads nowhere"));
            } else if !anchor.is_empty() && !anchors(files.text(&path)).iter().any(|found| found == anchor) {
                wrong.push(format!("{page}: {path} has no heading for the link to {target}"));
            }
        }
    }
    wrong
}

/// A page that is part of a crate's documentation links to items too; rustdoc checks those.
fn is_relative(page: &str, target: &str) -> bool {
    let item = target.contains("::") || (page.contains("/src/") && !target.contains(['.', '/', '#']));
    !(target.contains("://") || target.starts_with("mailto:") || item)
}

/// A path relative to a page, from the workspace's root.
fn resolve(page: &str, path: &str) -> String {
    let mut folders: Vec<&str> = page.split('/').collect();
    folders.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(folders.pop()),
            part => folders.push(part),
        }
    }
    folders.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(page: &str) -> Vec<String> {
        let files = [("docs/a.md", page), ("docs/b.md", "# A heading\n"), ("crates/x/src/lib.rs", "//! x\n")];
        check(&Files::planted(&files))
    }

    #[test]
    fn finds_a_link_to_nothing() {
        assert_eq!(
            faults("[b](b.md), [x](../crates/x), [y](https://a.example/nothing), [z](c::D)\n"),
            [""; 0]
        );
        assert!(faults("[c](c.md)\n")[0].contains("c.md leads nowhere"));
        assert!(faults("[b][]\n\n[b]: ../b.md\n")[0].contains("../b.md leads nowhere"));
        assert!(
            faults("<img src=\"chart.svg\">, <a src=\"chart.svg\">\n")[0].contains("chart.svg leads nowhere")
        );
    }

    #[test]
    fn finds_an_anchor_without_a_heading() {
        assert_eq!(faults("# Here\n[here](#here) [b](b.md#a-heading)\n"), [""; 0]);
        assert!(faults("# Here\n[there](#there)\n")[0].contains("no heading"));
        assert!(faults("[b](b.md#another-heading)\n")[0].contains("no heading"));
    }
}
