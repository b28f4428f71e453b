//! How long a source file may be.

use super::Files;

/// A longer file has to say why, on a line of its own before its first item: `// long: the reason`.
const EXPLAIN: usize = 400;
/// No file is longer, whatever its reason.
const SPLIT: usize = 700;

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files.ending(".rs") {
        let lines = text.lines().count();
        if lines > SPLIT {
            wrong.push(format!("{file}: {lines} lines, and {SPLIT} is the most; what idea is hiding in it?"));
        } else if lines > EXPLAIN && !says_why(text) {
            wrong.push(format!("{file}: {lines} lines; split it, or say why not: `// long: ` and the reason, above its first item"));
        }
    }
    wrong
}

/// Among the comments above the first item.
fn says_why(text: &str) -> bool {
    let comment = |line: &&str| line.is_empty() || line.starts_with("//") || line.starts_with("#![");
    let mut head = text.lines().take_while(comment);
    head.any(|line| line.strip_prefix("// long: ").is_some_and(|reason| reason.trim().len() > 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(head: &str, lines: usize) -> usize {
        let text = format!("//! A file.\n{head}\n{}", "fn f() {}\n".repeat(lines));
        check(&Files::planted(&[("crates/retry/src/a.rs", &text)])).len()
    }

    #[test]
    fn finds_a_long_file_without_a_reason() {
        assert_eq!(faults("", 398), 0);
        assert_eq!(faults("", 399), 1);
        assert_eq!(faults("// long: one table, a row for each provider", 399), 0);
        assert_eq!(faults("// long:  ", 399), 1);
        assert_eq!(faults("fn f() {}\n// long: too late to be read", 399), 1);
    }

    #[test]
    fn finds_a_file_that_no_reason_excuses() {
        assert_eq!(faults("// long: one table, a row for each provider", 700), 1);
    }
}
