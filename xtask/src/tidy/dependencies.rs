//! The README's table of pieces says how many crates each of them brings along.

use std::collections::BTreeSet;

use super::Files;
use crate::run::{Result, output};

const PAGE: &str = "README.md";

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let rows = rows(files.text(PAGE));
    let mut counted = Vec::new();
    for row in rows {
        let number = count(&row.package)?;
        counted.push((row, number));
    }
    Ok(compare(&counted))
}

/// A line of the table.
struct Row {
    package: String,
    /// What its cell says.
    said: String,
}

fn compare(rows: &[(Row, usize)]) -> Vec<String> {
    if rows.is_empty() {
        return vec![format!("{PAGE}: its table of pieces has no column `dependencies`")];
    }
    let differing = rows.iter().filter(|(row, number)| row.said != number.to_string());
    let line = |(row, number): &(Row, usize)| {
        format!("{PAGE}: {} has {number} dependencies, not {}", row.package, row.said)
    };
    differing.map(line).collect()
}

/// The rows of every table that has a column `dependencies`, as long as they begin with a crate of ours.
fn rows(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut column = None;
    for line in page.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if !line.trim_start().starts_with('|') {
            column = None;
        } else if let Some(found) = cells.iter().position(|cell| *cell == "dependencies") {
            column = Some(found);
        } else if let Some(said) = column.and_then(|column| cells.get(column)) {
            let package = cells[0].split('`').nth(1).filter(|name| name.starts_with("outbound"));
            rows.extend(package.map(|package| Row { package: package.to_owned(), said: (*said).to_owned() }));
        }
    }
    rows
}

/// How many other crates cargo builds for it, ours among them, with its default features and on one target for all machines.
fn count(package: &str) -> Result<usize> {
    let target = ["--target", "x86_64-unknown-linux-gnu"];
    let shape = ["--edges", "normal,build", "--prefix", "none", "--no-dedupe", "--format", "{p}"];
    let tree = output("cargo", &[&["tree", "--package", package], &target[..], &shape[..]].concat())?;
    let crates: BTreeSet<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
    Ok(crates.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "| crate | for | dependencies |\n|---|---|---|\n\
                         | [`outbound-timer`](crates/timer) | a wake-up | 4 |\n| other | x | 9 |\n\ntext | 3 |\n";

    #[test]
    fn finds_a_number_that_differs() {
        let counted = |number| rows(TABLE).into_iter().map(|row| (row, number)).collect::<Vec<_>>();
        assert_eq!(compare(&counted(4)), [""; 0]);
        assert_eq!(compare(&counted(5)), ["README.md: outbound-timer has 5 dependencies, not 4"]);
    }

    #[test]
    fn finds_a_table_without_the_column() {
        assert_eq!(compare(&[]).len(), 1);
        assert_eq!(rows(&TABLE.replace("| dependencies |", "| number |")).len(), 0);
    }
}
