//! Cargo in a process of its own, with a limit in time and its output in a file.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    results::{at, now},
    run::Result,
};

/// Where what the programs print is kept.
const LOGS: &str = "target/results";
const LOOK: Duration = Duration::from_millis(200);
/// How often a line says that it still runs.
const SAY: Duration = Duration::from_secs(60);

/// How a program ended.
pub(crate) struct Ended {
    name: String,
    pub(crate) took: Duration,
    failure: Option<String>,
    log: PathBuf,
}

impl Ended {
    /// What went wrong, if something did, with the last lines it printed.
    pub(crate) fn error(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let text = std::fs::read_to_string(at(&self.log)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n    ");
        Some(format!("{}: {failure}; all it printed is in {}:\n    {last}", self.name, self.log.display()))
    }
}

/// Runs cargo from the workspace's root. What takes longer than the limit is ended, with all that it started.
pub(crate) fn run(
    name: &str,
    arguments: &[&str],
    environment: &[(&str, String)],
    limit: Duration,
) -> Result<Ended> {
    std::fs::create_dir_all(at(Path::new(LOGS)))?;
    let log = Path::new(LOGS).join(format!("{}.log", name.replace([' ', '/'], "-")));
    println!("{name}: at most {} ($ cargo {})", minutes(limit), arguments.join(" "));
    let out = File::create(at(&log))?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| String::from("cargo"));
    let mut child = Command::new(cargo)
        .args(arguments)
        .current_dir(at(Path::new("")))
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        // They speak to servers of their own on loopback, whatever proxy there is for the world outside.
        .envs([("NO_PROXY", "*"), ("no_proxy", "*")])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        // A group of its own, so that it can be ended with its children.
        .process_group(0)
        .spawn()?;
    let began = now();
    let mut said = Duration::ZERO;
    let failure = loop {
        if let Some(status) = child.try_wait()? {
            break (!status.success()).then(|| status.to_string());
        }
        let took = began.elapsed();
        if took > limit {
            let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
            child.wait()?;
            break Some(format!("ended, since it took longer than {}", minutes(limit)));
        }
        if took - said > SAY {
            said = took;
            println!("{name}: {} so far", minutes(took));
        }
        // There is no runtime here that it could hold up.
        #[expect(clippy::disallowed_methods)]
        thread::sleep(LOOK);
    };
    let took = began.elapsed();
    let word = if failure.is_some() { "FAILED" } else { "done" };
    println!("{name}: {word} after {}", minutes(took));
    Ok(Ended { name: name.to_owned(), took, failure, log })
}

/// A time as people say it.
pub(crate) fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
