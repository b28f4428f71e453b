//! The public API of each crate, recorded in its `api.txt`, so that a change of it shows in review.
//!
//! rustdoc describes a crate as JSON, and `xtask/api` prints that as text. The JSON is not stable: its version has to be
//! the one that `xtask/api` reads, else nothing is compared and the task says so.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    run::{Result, cargo, cargo_with, output},
    tidy::{Files, library_packages},
};

/// The version of rustdoc's JSON that the `public-api` of `xtask/api` reads.
const FORMAT: &str = "57";

/// Where this program stands in for rustdoc, this variable has the path of the real one.
const RUSTDOC: &str = "OUTBOUND_RUSTDOC";

/// Writes the files.
pub(crate) fn write() -> Result {
    each(|file, api| Ok(std::fs::write(file, api)?))
}

/// Compares the files with the source, and shows the lines that differ.
pub(crate) fn check() -> Result {
    let mut changed = 0;
    each(|file, api| {
        let recorded = std::fs::read_to_string(file).unwrap_or_default();
        let differing = difference(&recorded, api);
        changed += usize::from(!differing.is_empty());
        differing.iter().take(20).for_each(|line| println!("{}: {line}", file.display()));
        Ok(())
    })?;
    match changed {
        0 => Ok(()),
        changed => {
            Err(format!("{changed} crates have another public API; `cargo xtask api` records it").into())
        }
    }
}

/// Calls with the file and the API of each library, or says why it cannot.
fn each(mut with: impl FnMut(&Path, &str) -> Result) -> Result {
    let described = describe()?;
    for (_, json) in &described {
        let text = std::fs::read_to_string(json)?;
        let format = format_of(&text);
        if format != FORMAT {
            println!(
                "skipped: the rustdoc here writes version {format} of its JSON, and {FORMAT} is what can be read"
            );
            return Ok(());
        }
    }
    let tool = ["--quiet", "--manifest-path", "xtask/api/Cargo.toml"];
    if cargo(&[&["build"], &tool[..]].concat()).is_err() {
        println!("skipped: xtask/api could not be built here");
        return Ok(());
    }
    for (folder, json) in described {
        let json = json.to_string_lossy().into_owned();
        let api = output("cargo", &[&["run"], &tool[..], &["--", &json]].concat())?;
        with(&Path::new("crates").join(folder).join("api.txt"), &api)?;
    }
    Ok(())
}

/// The folder of each library, and the JSON file in which rustdoc has described it with all of its features.
fn describe() -> Result<Vec<(String, PathBuf)>> {
    let files = Files::of_the_project()?;
    let folder = |package: &str| package.strip_prefix("outbound-").unwrap_or(package).to_owned();
    let packages: Vec<String> = library_packages();
    let libraries: Vec<&String> = packages
        .iter()
        .filter(|package| files.has(&format!("crates/{}/src/lib.rs", folder(package))))
        .collect();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let selected = libraries.iter().flat_map(|package| ["--package", package.as_str()]);
    let arguments: Vec<&str> =
        ["doc", "--quiet", "--no-deps", "--lib", "--all-features"].into_iter().chain(selected).collect();
    let this_program = std::env::current_exe()?.to_string_lossy().into_owned();
    let environment = [
        ("RUSTDOC", this_program.as_str()),
        (RUSTDOC, "rustdoc"),
        ("RUSTDOCFLAGS", "-Z unstable-options --output-format json"),
    ];
    cargo_with(&environment, &arguments)?;
    let json = |package: &str| target.join("doc").join(format!("{}.json", package.replace('-', "_")));
    Ok(libraries.iter().map(|package| (folder(package), json(package))).collect())
}

/// Runs the real rustdoc with its unstable options allowed, where cargo has called this program in its place. Only rustdoc
/// gets the variable: with it in the environment of cargo, build scripts would run again and all that depends on them.
pub(crate) fn as_rustdoc() -> Option<ExitCode> {
    let rustdoc = std::env::var_os(RUSTDOC)?;
    let status = Command::new(rustdoc).args(std::env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").status();
    Some(if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn format_of(json: &str) -> &str {
    let after = json.split("\"format_version\":").nth(1).unwrap_or_default();
    after.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default()
}

/// Lines that are gone and lines that are new.
fn difference(recorded: &str, api: &str) -> Vec<String> {
    let only = |sign: char, one: &str, other: &str| {
        let other: std::collections::BTreeSet<&str> = other.lines().collect();
        one.lines()
            .filter(|line| !other.contains(line))
            .map(|line| format!("{sign} {line}"))
            .collect::<Vec<_>>()
    };
    [only('-', recorded, api), only('+', api, recorded)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_gone_and_what_is_new() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), [""; 0]);
        assert_eq!(difference("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
    }

    #[test]
    fn the_version_of_the_json_is_read() {
        assert_eq!(format_of("{\"paths\":{},\"format_version\":57}"), "57");
        assert_eq!(format_of("{}"), "");
    }
}
