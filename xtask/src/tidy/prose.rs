//! The commands that the README promises, and words that no file of the project holds.

use super::Files;
use crate::{MAIN_JOB, TESTS};

pub(super) fn check(files: &Files) -> Vec<String> {
    [readme(files.text("README.md")), words(files)].concat()
}

fn readme(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for command in [MAIN_JOB, TESTS] {
        if !text.lines().any(|line| line.trim() == command) {
            wrong.push(format!("README.md: the command `{command}` is not on a line of its own"));
        }
    }
    if text.lines().any(|line| line.starts_with("# #[") || line.starts_with("# async")) {
        wrong.push(String::from("README.md: a hidden line of an example is not hidden from its readers"));
    }
    wrong
}

fn words(files: &Files) -> Vec<String> {
    // Spelled in parts, so that this file does not find itself.
    let registry = ["crates", ".io"].concat();
    let homes = [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()];
    let mut wrong = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| !file.ends_with("Cargo.lock")) {
        if text.contains(&registry) {
            wrong.push(format!("{file}: names a package registry's host"));
        }
        if homes.iter().any(|home| text.contains(home.as_str())) {
            wrong.push(format!("{file}: names a path of some machine"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_command_that_the_readme_no_longer_has() {
        assert_eq!(readme(&format!("{MAIN_JOB}\n{TESTS}\n")).len(), 0);
        assert_eq!(readme(&format!("{MAIN_JOB}\n")).len(), 1);
        assert_eq!(readme(&format!("{MAIN_JOB}\n{TESTS}\n# async fn main() {{\n")).len(), 1);
    }

    #[test]
    fn finds_words_that_have_no_place_here() {
        let faults = |text: &str| words(&Files::planted(&[("README.md", text)])).len();
        assert_eq!(faults("a page\n"), 0);
        assert_eq!(faults(&["see crates", ".io\n"].concat()), 1);
        assert_eq!(faults(&["in /ho", "me/me\n"].concat()), 1);
    }
}
