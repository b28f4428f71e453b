//! A process that this one started. It is ended when its handle goes, whatever happened.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use super::wait::until;
use crate::run::Result;

/// A process at work. All that it prints is in a file.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) name: String,
    log: PathBuf,
}

impl Running {
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    /// Sends a signal: `INT`, `KILL`, `STOP`, `CONT`. Nothing happens to a process that has ended.
    pub(crate) fn signal(&mut self, signal: &str) -> Result {
        // Until it has been waited for, no other process can get its number.
        if self.ended()?.is_none() {
            let pid = self.child.id().to_string();
            let status = Command::new("kill").args(["-s", signal, &pid]).stderr(Stdio::null()).status()?;
            if !status.success() && self.ended()?.is_none() {
                return Err(format!("{}: no signal {signal}", self.name).into());
            }
        }
        Ok(())
    }

    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end. At the limit it is an error, with the last lines that the process printed.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        let waited = until("the end", limit, || Ok(child.try_wait()?));
        waited.map_err(|error| format!("{}: {error}\n{}", self.name, self.last_lines()).into())
    }

    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of what it printed, for a message.
    pub(crate) fn last_lines(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        lines[lines.len().saturating_sub(6)..].iter().map(|line| format!("    {line}\n")).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that is stopped ends by this, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, and gives what it wrote to standard output.
pub(crate) fn finished(name: &str, command: Command, folder: &Path, limit: Duration) -> Result<String> {
    let mut running = Running::start(name, command, folder)?;
    let status = running.wait(limit)?;
    if !status.success() {
        return Err(format!("{name}: {status}\n{}", running.last_lines()).into());
    }
    Ok(running.printed())
}
