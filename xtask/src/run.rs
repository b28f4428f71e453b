//! Runs other programs, and prints each command before it runs.

use std::{process::Command, time::SystemTime};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs one step: prints its name before it, and the time that it took after it.
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

/// Runs cargo from the workspace's root, with these environment variables set.
pub(crate) fn cargo_with(environment: &[(&str, &str)], arguments: &[&str]) -> Result {
    println!("$ cargo {}", arguments.join(" "));
    // The `cargo` that started this program belongs to one toolchain. Only rustup's `cargo`, the one in `PATH`, reads
    // `+nightly` as another toolchain.
    let other_toolchain = arguments.first().is_some_and(|first| first.starts_with('+'));
    let mut command = start(&if other_toolchain { String::from("cargo") } else { program() });
    command.args(arguments).envs(environment.iter().copied());
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo {}: {status}", arguments.join(" ")).into()) }
}

/// A command without the variables in which cargo tells this program about its own package. Some build scripts look at
/// them (that of `ring` does), and would have everything above them built again after each `cargo xtask`.
fn start(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// The `cargo` that started this program.
pub(crate) fn program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| String::from("cargo"))
}

/// Runs a command line as a reader of the README would type it.
pub(crate) fn command(line: &str) -> Result {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["cargo", arguments @ ..] => cargo(arguments),
        _ => Err(format!("not a cargo command: {line}").into()),
    }
}

/// Whether a command exits with success. Nothing that the command writes is shown.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    start(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// What a command writes to standard output.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = start(program).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{program} {}: {}", arguments.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
