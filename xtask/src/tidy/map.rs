//! ARCHITECTURE.md names files that are there.

use super::Files;

const MAP: &str = "ARCHITECTURE.md";
/// It is read in one sitting.
const LONGEST: usize = 250;

pub(super) fn check(files: &Files) -> Vec<String> {
    let page = files.text(MAP);
    let mut wrong = Vec::new();
    let lines = page.lines().count();
    if lines > LONGEST {
        wrong.push(format!("{MAP}: {lines} lines, and {LONGEST} are the most"));
    }
    let (mut folder, mut in_table) = ("", false);
    for line in page.lines() {
        if let Some(named) =
            backticked(line).find(|name| name.starts_with("crates/") && !line.starts_with('|'))
        {
            folder = named;
        }
        in_table = line.starts_with("| file |") || (in_table && line.starts_with('|'));
        let cell = line.split('|').nth(1).filter(|_| in_table).unwrap_or_default();
        for name in backticked(cell) {
            let places = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
            if !places.iter().any(|place| files.has(place)) {
                wrong.push(format!("{MAP}: there is no file `{name}` in {folder}"));
            }
        }
    }
    wrong
}

fn backticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(page: &str) -> Vec<String> {
        check(&Files::planted(&[(MAP, page), ("crates/x/src/a.rs", ""), ("crates/x/src/b/mod.rs", "")]))
    }

    #[test]
    fn finds_a_file_that_is_not_there() {
        let page = "In `crates/x/src`:\n\n| file | is |\n|---|---|\n| `a`, `b` | `no/file` |\n";
        assert_eq!(faults(page), [""; 0]);
        let wrong = faults(&page.replace("`b`", "`c`"));
        assert_eq!(wrong, ["ARCHITECTURE.md: there is no file `c` in crates/x/src"]);
    }

    #[test]
    fn finds_a_map_that_is_too_long() {
        assert_eq!(faults(&"line\n".repeat(250)).len(), 0);
        assert_eq!(faults(&"line\n".repeat(251)).len(), 1);
    }
}
