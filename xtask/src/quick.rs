//! The round while working: what is cheap, and the crates that have changed.

use std::collections::BTreeSet;

use crate::{
    run::{Result, cargo, output, section},
    tidy,
};

/// Checks the given packages, or those with a file that differs from the last commit. Crates that depend on them are left to
/// `ci`.
pub(crate) fn quick(packages: &[String]) -> Result {
    let packages = if packages.is_empty() { changed()? } else { packages.to_vec() };
    section("tidy", tidy::tidy)?;
    section("format", || cargo(&["fmt", "--all", "--check"]))?;
    let selected: Vec<&str> = packages.iter().flat_map(|package| ["--package", package.as_str()]).collect();
    if selected.is_empty() {
        println!(
            "\nno crate differs from the last commit; `cargo xtask quick outbound-retry` checks one all the same"
        );
        return Ok(());
    }
    let clippy = [&["clippy"], &selected[..], &["--all-targets", "--", "-D", "warnings"]].concat();
    section("clippy", || cargo(&clippy))?;
    section("tests", || cargo(&[&["test", "--quiet"], &selected[..]].concat()))
}

fn changed() -> Result<Vec<String>> {
    let differing = output("git", &["diff", "--name-only", "HEAD"])?;
    let new = output("git", &["ls-files", "--others", "--exclude-standard"])?;
    let folders: BTreeSet<&str> = differing.lines().chain(new.lines()).filter_map(folder).collect();
    let packages = folders.into_iter().map(|folder| match folder {
        "xtask" | "outbound" => folder.to_owned(),
        folder => format!("outbound-{folder}"),
    });
    Ok(packages.collect())
}

/// The folder of the package that a file belongs to. The benches are measured, not tested.
fn folder(file: &str) -> Option<&str> {
    let mut parts = file.split('/');
    let rust = file.ends_with(".rs") || file.ends_with(".toml");
    match (parts.next()?, parts.next()?) {
        ("crates", folder) => Some(folder),
        ("xtask", "src") => Some("xtask"),
        ("examples", _) if rust => Some("examples"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_a_package() {
        assert_eq!(folder("crates/retry/src/wait.rs"), Some("retry"));
        assert_eq!(folder("xtask/src/main.rs"), Some("xtask"));
        assert_eq!(folder("examples/limits.rs"), Some("examples"));
        assert_eq!(folder("benches/src/lib.rs"), None);
        assert_eq!(folder("README.md"), None);
    }
}
