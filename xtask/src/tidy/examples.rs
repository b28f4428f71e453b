//! Every example is named where a reader looks for it, and nothing is named that is no example.

use std::collections::BTreeSet;

use super::Files;

const PAGES: &[&str] = &["README.md", "examples/README.md"];

pub(super) fn check(files: &Files) -> Vec<String> {
    let of_folder = |path: &str| path.strip_prefix("examples/")?.strip_suffix(".rs").map(str::to_owned);
    let there: BTreeSet<String> =
        files.iter().filter_map(|(path, _)| of_folder(path)).filter(|name| !name.contains('/')).collect();
    let mut wrong = Vec::new();
    for page in PAGES {
        let named = named(files.text(page));
        let missing =
            there.difference(&named).map(|name| format!("{page}: the example `{name}` is not named"));
        let unknown = named.difference(&there).map(|name| format!("{page}: there is no example `{name}`"));
        wrong.extend(missing.chain(unknown));
    }
    wrong
}

/// The names after `--example`, and those of links to a program of the folder.
fn named(page: &str) -> BTreeSet<String> {
    let commands =
        page.split("--example ").skip(1).filter_map(|rest| rest.split([' ', '\n', '`', ')']).next());
    let links = page.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let programs = links.filter_map(|target| {
        let target = target.trim_start_matches("./");
        target.strip_prefix("examples/").unwrap_or(target).strip_suffix(".rs")
    });
    let names = commands.chain(programs.filter(|name| !name.contains('/')));
    // A page may speak of any example: `--example NAME`.
    names.filter(|name| !name.is_empty() && *name != "NAME").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(readme: &str, page: &str) -> Vec<String> {
        let files = [
            ("examples/limits.rs", ""),
            ("examples/retries.rs", ""),
            ("examples/src/lib.rs", ""),
            ("README.md", readme),
            ("examples/README.md", page),
        ];
        check(&Files::planted(&files))
    }

    #[test]
    fn finds_an_example_that_no_page_names() {
        let readme = "cargo run --example limits\ncargo run --example retries\n";
        assert_eq!(faults(readme, "[limits](limits.rs), [retries](retries.rs)\n"), [""; 0]);
        assert_eq!(
            faults(readme, "[limits](limits.rs)\n"),
            ["examples/README.md: the example `retries` is not named"]
        );
        assert_eq!(faults("", readme).len(), 2);
    }

    #[test]
    fn finds_a_name_that_is_no_example() {
        let both = "cargo run --example limits\ncargo run --example retries\n";
        let wrong = faults(both, &format!("{both}cargo run --example gone\n"));
        assert_eq!(wrong, ["examples/README.md: there is no example `gone`"]);
    }
}
