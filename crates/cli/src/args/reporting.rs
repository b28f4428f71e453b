//! The options of `run` for its progress, its summary and its report.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::heading;
use crate::{exit::Stop, same_file::is_same_file};

#[derive(Debug, Args)]
pub(crate) struct Reporting {
    /// How progress is printed on standard error: auto, plain, json or none.
    ///
    /// auto: on a terminal a status that is updated in place, else plain.
    ///
    /// plain: a line every 10 s, and at once when a long wait begins.
    ///
    /// none: only the summary at the end.
    ///
    /// json: one JSON object on each line. Every second it is {event: "progress", elapsed_s, done, of, failed, in_flight,
    /// retries, refused, requests_per_minute, requests_per_minute_limit, tokens_per_minute, tokens_per_minute_limit,
    /// input_tokens, output_tokens, cost, cost_projected, to_go_s, why: {reason, of, seconds, text}}, where null means
    /// not known. Any other message is {event: "message", text}. The last line is {event: "summary", ...}, as with --summary.
    #[arg(long, help_heading = heading::SEEING, value_name = "HOW", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) progress: ProgressFormat,

    /// Also write the summary to a file, as JSON.
    #[arg(long, help_heading = heading::SEEING, value_name = "FILE.json")]
    pub(crate) summary: Option<PathBuf>,

    /// Write a report with charts to a file, as one HTML page.
    #[arg(long, help_heading = heading::SEEING, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

/// The form of progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressFormat {
    #[default]
    Auto,
    Plain,
    Json,
    None,
}

impl Reporting {
    /// Checks the paths before anything is sent: none may replace another file of the run, and its folder must exist.
    pub(crate) fn check(&self, others: &[&Path]) -> Result<(), Stop> {
        let mut taken: Vec<_> = others.iter().map(|path| real(path)).collect();
        for (flag, path) in [("--summary", &self.summary), ("--html", &self.html)] {
            let Some(path) = path else { continue };
            let (name, found) = (path.display(), real(path));
            if taken.iter().any(|other| *other == found || is_same_file(other, &found)) {
                return Err(Stop::Usage(format!(
                    "{flag} {name}: this run already uses that file for something else"
                )));
            }
            if path.is_dir() {
                return Err(Stop::Usage(format!("{flag} {name}: this is a folder; name a file in it")));
            }
            if !found.parent().is_some_and(Path::is_dir) {
                return Err(Stop::Usage(format!("{flag} {name}: the folder of that file does not exist")));
            }
            taken.push(found);
        }
        Ok(())
    }
}

/// The path without links, also for a file that does not exist yet.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let in_its_folder = || {
        let folder = absolute.parent()?.canonicalize().ok()?;
        Some(folder.join(absolute.file_name()?))
    };
    absolute.canonicalize().ok().or_else(in_its_folder).unwrap_or(absolute)
}
