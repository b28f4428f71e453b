//! Words that are not the field's own and that nothing in the code may be called.

use std::collections::BTreeSet;

use super::{Files, rust};

/// No part of a name is such a word: `QuotaDesk` and `desk_of` have one. The field says queue or waiters, workers,
/// counts, failure, and the limit that is meant.
const HOUSE_NAMES: &[&str] = &["desk", "crew", "tally", "setback", "gullible", "widest"];

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in files.ending(".rs").filter(|(file, _)| !file.starts_with("xtask/")) {
        let code = rust::code(text);
        let mut found = BTreeSet::new();
        for (line, name) in rust::words(&code) {
            if parts(name).iter().any(|part| HOUSE_NAMES.contains(&part.as_str())) && found.insert(name) {
                wrong.push(format!("{file}:{line}: `{name}` is no word of the field"));
            }
        }
    }
    wrong
}

/// The words of a name, in small letters: `rateDesk`, `RateDesk`, `rate_desk` and `RATE_DESK` have the same two.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut after_small = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && after_small) {
            parts.push(String::new());
        }
        after_small = letter.is_lowercase();
        if letter != '_' {
            parts.last_mut().expect("it starts with one").extend(letter.to_lowercase());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_house_name_in_any_spelling() {
        let faults = |text: &str| check(&Files::planted(&[("crates/limiter/src/a.rs", text)])).len();
        assert_eq!(faults("struct QuotaDesk;\n"), 1);
        assert_eq!(faults("const WIDEST: u32 = 1;\n"), 1);
        assert_eq!(faults("fn of(the_tally: u32) {}\n"), 1);
        assert_eq!(faults("mod crew;\nuse crew::Crew;\n"), 2);
        assert_eq!(
            faults("// The desk\nstruct Waiters(&'static str);\nconst A: Waiters = Waiters(\"desk\");\n"),
            0
        );
        assert_eq!(faults("struct Desktop;\n"), 0);
    }
}
