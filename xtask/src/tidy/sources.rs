//! Where unsafe code may be, what a crate's page may hold, and examples that nothing runs.

use super::Files;

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files.ending(".rs") {
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let home_of_unsafe = file.starts_with("crates/waitlist/") || file.starts_with("xtask/");
        let counting_allocator = file.contains("/tests/") || file.starts_with("benches/");
        let has_unsafe = text.lines().filter(code).any(|line| line.contains("unsafe "));
        if has_unsafe && !home_of_unsafe && !counting_allocator {
            wrong.push(format!("{file}: unsafe code lives in crates/waitlist only"));
        }
        // Spelled in halves, so that this file does not find itself.
        if text.contains(&["```", "ignore"].concat()) {
            wrong.push(format!("{file}: an ignored example proves nothing"));
        }
        if let Some(root) = file.strip_prefix("crates/").filter(|file| file.ends_with("/src/lib.rs")) {
            if !root.starts_with("waitlist/") && !text.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{file}: no `#![forbid(unsafe_code)]`"));
            }
            let logic = ["fn ", "pub fn ", "impl ", "impl<", "struct ", "pub struct ", "enum ", "pub enum "];
            if text.lines().any(|line| logic.iter().any(|start| line.starts_with(start))) {
                wrong.push(format!("{file}: a crate's page holds prose, `mod` and `pub use`, no logic"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(file: &str, text: &str) -> Vec<String> {
        check(&Files::planted(&[(file, text)]))
    }

    #[test]
    fn finds_unsafe_code_outside_its_home() {
        assert_eq!(faults("crates/retry/src/a.rs", "unsafe { x() }\n").len(), 1);
        assert_eq!(faults("crates/waitlist/src/a.rs", "unsafe { x() }\n").len(), 0);
        assert_eq!(faults("crates/retry/src/a.rs", "// unsafe { x() }\n").len(), 0);
    }

    #[test]
    fn finds_an_ignored_example() {
        assert_eq!(faults("crates/retry/src/a.rs", &["/// ```", "ignore\n"].concat()).len(), 1);
    }

    #[test]
    fn finds_logic_on_a_crates_page() {
        let page = "//! A page.\n#![forbid(unsafe_code)]\nmod a;\n";
        assert_eq!(faults("crates/retry/src/lib.rs", page).len(), 0);
        assert_eq!(faults("crates/retry/src/lib.rs", &format!("{page}fn f() {{}}\n")).len(), 1);
        assert_eq!(faults("crates/retry/src/lib.rs", "//! A page.\nmod a;\n").len(), 1);
    }
}
