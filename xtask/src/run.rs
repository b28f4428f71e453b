//! Running other programs, loudly.

use std::{process::Command, time::SystemTime};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs one step under a heading, with its time.
pub(crate) fn section(name: &str, step: impl FnOnce() -> Result) -> Result {
    println!("\n=== {name}");
    let started = SystemTime::now();
    step().map_err(|error| format!("{name}: {error}"))?;
    let took = started.elapsed().unwrap_or_default();
    println!("=== {name}: {:.1} s", took.as_secs_f64());
    Ok(())
}

/// Runs cargo from the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Result {
    cargo_with(&[], arguments)
}

/// Runs cargo from the workspace's root, with some variables set.
pub(crate) fn cargo_with(environment: &[(&str, &str)], arguments: &[&str]) -> Result {
    println!("$ cargo {}", arguments.join(" "));
    // A toolchain override (`+nightly`) is rustup's to read, not that of the cargo that started this program.
    let program = if arguments.first().is_some_and(|first| first.starts_with('+')) {
        String::from("cargo")
    } else {
        std::env::var("CARGO").unwrap_or_else(|_| String::from("cargo"))
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo {}: {status}", arguments.join(" ")).into()) }
}

/// Runs a command line as a reader of the README would type it.
pub(crate) fn command(line: &str) -> Result {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["cargo", arguments @ ..] => cargo(arguments),
        _ => Err(format!("not a cargo command: {line}").into()),
    }
}

/// Whether a command exits with success; it stays silent.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// What a command prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{program} {}: {}", arguments.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
