//! Every source file begins with what it is for.

use super::Files;

pub(super) fn check(files: &Files) -> Vec<String> {
    let headless = files.ending(".rs").filter(|(_, text)| !has_head(text));
    headless.map(|(file, _)| format!("{file}: no `//!` line says what the file is for")).collect()
}

/// The first line that is no attribute, no plain comment and not empty is a `//!` line with words on it.
fn has_head(text: &str) -> bool {
    let before = |line: &&str| {
        let plain_comment = line.starts_with("//") && !line.starts_with("//!") && !line.starts_with("///");
        line.is_empty() || line.starts_with("#!") || plain_comment
    };
    let mut lines = text.lines().skip_while(before);
    lines.next().and_then(|line| line.strip_prefix("//!")).is_some_and(|words| !words.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_file_without_a_head() {
        let faults = |text: &str| check(&Files::planted(&[("crates/retry/tests/it/a.rs", text)])).len();
        assert_eq!(faults("//! How a wait grows.\nuse std::fmt;\n"), 0);
        assert_eq!(faults("#![forbid(unsafe_code)]\n\n//! How a wait grows.\n"), 0);
        assert_eq!(faults("// long: a table\n//! How a wait grows.\n"), 0);
        assert_eq!(faults("use std::fmt;\n//! How a wait grows.\n"), 1);
        assert_eq!(faults("//!\nuse std::fmt;\n"), 1);
        assert_eq!(faults("/// How a wait grows.\nfn grow() {}\n"), 1);
        assert_eq!(faults(""), 1);
    }
}
