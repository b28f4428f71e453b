//! Licences, sources and bans of all dependencies, by `cargo deny` and `deny.toml`.

use std::process::Command;

use crate::run::{Result, succeeds};

/// Where `.ci/run` puts the program.
const INSTALLED: &str = "target/tools/bin/cargo-deny";

/// Runs the checks that need no database from outside. `cargo deny check advisories` needs one.
pub(crate) fn deny() -> Result {
    let Some(program) =
        ["cargo-deny", INSTALLED].into_iter().find(|program| succeeds(program, &["--version"]))
    else {
        println!("skipped: cargo-deny is not installed; `cargo install --locked cargo-deny` installs it");
        return Ok(());
    };
    let arguments = ["check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    println!("$ {program} {}", arguments.join(" "));
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo deny: {status}").into()) }
}
