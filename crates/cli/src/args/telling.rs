//! What a run tells while it runs and afterwards.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::heading;
use crate::{exit::Stop, run::is_same_file};

#[derive(Debug, Args)]
pub(crate) struct Telling {
    /// How progress is told on standard error: auto, plain, json or none.
    ///
    /// auto: on a terminal a status that is drawn anew, else plain.
    /// plain: a line every 10 s, and at once when a long wait begins.
    /// json: an object a line, every second, with the fields {event: "progress", elapsed_s, done, of, failed, in_flight,
    /// retries, refused, requests_per_minute, requests_per_minute_limit, tokens_per_minute, tokens_per_minute_limit,
    /// input_tokens, output_tokens, cost, cost_projected, to_go_s, why: {reason, of, seconds, text}}, null where a thing is
    /// not known; all else that is said is {event: "message", text}, and the end {event: "summary", ...} as in --summary.
    #[arg(long, help_heading = heading::SEEING, value_name = "HOW", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) progress: HowTold,

    /// Write the summary to a file too, as JSON.
    #[arg(long, help_heading = heading::SEEING, value_name = "FILE.json")]
    pub(crate) summary: Option<PathBuf>,

    /// Write a report with charts to a file, as one page of HTML.
    #[arg(long, help_heading = heading::SEEING, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

/// How progress is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum HowTold {
    #[default]
    Auto,
    Plain,
    Json,
    None,
}

impl Telling {
    /// What is found out now costs nothing: a file that replaces another of the run's, or that has no place.
    pub(crate) fn check(&self, others: &[&Path]) -> Result<(), Stop> {
        let mut taken: Vec<_> = others.iter().map(|path| real(path)).collect();
        for (flag, path) in [("--summary", &self.summary), ("--html", &self.html)] {
            let Some(path) = path else { continue };
            let (name, found) = (path.display(), real(path));
            if taken.iter().any(|other| *other == found || is_same_file(other, &found)) {
                return Err(Stop::Usage(format!("{flag} {name}: that file is used already in this run")));
            }
            if path.is_dir() {
                return Err(Stop::Usage(format!("{flag} {name}: that is a folder; name a file in it")));
            }
            if !found.parent().is_some_and(Path::is_dir) {
                return Err(Stop::Usage(format!("{flag} {name}: there is no such folder")));
            }
            taken.push(found);
        }
        Ok(())
    }
}

/// The path by which a file is known, whether or not it is there.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let in_its_folder = || {
        let folder = absolute.parent()?.canonicalize().ok()?;
        Some(folder.join(absolute.file_name()?))
    };
    absolute.canonicalize().ok().or_else(in_its_folder).unwrap_or(absolute)
}
