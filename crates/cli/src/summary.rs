//! The summary of a run: counted while it runs, and printed at its end, however it ends.

use std::{collections::BTreeMap, path::Path, time::Duration};

use outbound::{ErrorKind, Money, Outcome, RequestManager, Stopped};
use tokio::time::Instant;

use crate::{
    args::{ProgressFormat, Reporting},
    exit::Stop,
    interrupt::Interrupt,
    report,
    run::is_for_another_run,
    say,
    simulate::Simulated,
    watch::{Ids, Watch},
};

mod facts;
pub(crate) mod words;

pub(crate) use self::facts::{Facts, Latency};

/// The most characters that are kept of a message.
const LONGEST: usize = 2_000;

/// The number of slowest answers that are shown.
const SLOWEST: usize = 5;

#[derive(Debug)]
pub(crate) struct Summary {
    watch: Watch,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Requests that had an answer or a failure before this run.
    pub(crate) skipped: u64,
    /// The number of requests of this run, if it is known.
    pub(crate) asked: Option<u64>,
    /// Why not everything was sent.
    pub(crate) stopped: Option<Stopped>,
    /// What went wrong with the input or the output.
    pub(crate) trouble: Option<String>,
    /// Whether the user interrupted it.
    pub(crate) interrupted: bool,
    /// What was spent, by the manager's count.
    pub(crate) spent: Money,
    /// From the start to the end.
    pub(crate) wall: Duration,
    /// Where the answers are.
    pub(crate) output: String,
    /// The command that goes on where this run ended.
    pub(crate) go_on: Option<String>,
    /// Only with several machines: how the whole batch stands.
    pub(crate) batch: Option<Whole>,
    /// Only for a demonstration: what the provider did, and the result of the usual loop.
    pub(crate) simulated: Option<Simulated>,
    failures: BTreeMap<&'static str, Failures>,
    possible_duplicates: u64,
    reused: u64,
    /// The slowest answers, the slowest first.
    slowest: Vec<Slow>,
    refused_account: bool,
}

/// The failures of one class.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Failures {
    pub(crate) count: u64,
    /// The id of the first, and its error message.
    pub(crate) first_id: String,
    pub(crate) first_message: String,
}

/// A batch on which several machines work.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Whole {
    pub(crate) name: String,
    /// Lines of the whole batch, and those among them that have an end. `None`: the database did not say it.
    pub(crate) requests: Option<u64>,
    pub(crate) done: Option<u64>,
    pub(crate) failed: Option<u64>,
    /// Machines that work on it, without this one.
    pub(crate) other_machines: u64,
    /// Others worked on it at the same time: then this run had only a part of the limits, and how well it used them is not known.
    pub(crate) was_shared: bool,
    /// Answers of this machine that were not accepted.
    pub(crate) late: u64,
}

/// A slow answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Slow {
    pub(crate) id: String,
    /// Seconds of the attempt that brought the answer.
    pub(crate) latency_s: f64,
    /// Seconds from the first step of the request to its end, with waits.
    pub(crate) elapsed_s: f64,
    pub(crate) sends: u32,
}

impl Summary {
    pub(crate) fn new(watch: &Watch) -> Self {
        Self {
            watch: watch.clone(),
            succeeded: 0,
            failed: 0,
            skipped: 0,
            asked: None,
            stopped: None,
            trouble: None,
            interrupted: false,
            spent: Money::ZERO,
            wall: Duration::ZERO,
            output: String::new(),
            go_on: None,
            batch: None,
            simulated: None,
            failures: BTreeMap::new(),
            possible_duplicates: 0,
            reused: 0,
            slowest: Vec::new(),
            refused_account: false,
        }
    }

    /// Adds an outcome that is in the output, or that an interrupt ended before its answer.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.watch.handed_over(outcome);
        self.possible_duplicates += u64::from(outcome.possible_duplicate);
        self.reused += u64::from(outcome.reused.is_some());
        match &outcome.result {
            Ok(_) => {
                self.succeeded += 1;
                self.note_slow(outcome);
            }
            Err(_) if is_for_another_run(outcome) => {}
            Err(error) => {
                self.failed += 1;
                self.refused_account |= matches!(error.kind(), ErrorKind::Auth | ErrorKind::QuotaSpent);
                let failures = self.failures.entry(error.kind().as_str()).or_insert_with(|| Failures {
                    count: 0,
                    first_id: outcome.id.clone().unwrap_or_default(),
                    first_message: error.to_string().chars().take(LONGEST).collect(),
                });
                failures.count += 1;
            }
        }
    }

    /// Whether some request failed because the key or the quota was refused.
    pub(crate) fn key_or_money_refused(&self) -> bool {
        self.refused_account
    }

    fn note_slow(&mut self, outcome: &Outcome) {
        let answered = outcome.attempts.iter().rev().find(|attempt| attempt.failure.is_none());
        let Some(latency) = answered.map(|attempt| attempt.took.as_secs_f64()) else { return };
        let place = self.slowest.iter().position(|slow| slow.latency_s < latency);
        let place = place.unwrap_or(self.slowest.len());
        if place < SLOWEST {
            let slow = Slow {
                id: outcome.id.clone().unwrap_or_default(),
                latency_s: latency,
                elapsed_s: outcome.elapsed.as_secs_f64(),
                sends: outcome.sends,
            };
            self.slowest.insert(place, slow);
            self.slowest.truncate(SLOWEST);
        }
    }

    /// To be called when the run has ended and the manager is shut down.
    pub(crate) fn ended(
        &mut self,
        manager: &RequestManager,
        interrupt: &Interrupt,
        stopped: Option<Stopped>,
        wrong: Option<&Stop>,
    ) {
        self.watch.look(&manager.snapshot());
        self.spent = manager.spent();
        self.interrupted = interrupt.asked();
        self.stopped = stopped;
        self.trouble = wrong.map(Stop::to_string);
        self.wall = self.watch.read(|counts| counts.began.elapsed());
    }

    /// Prints the summary, and writes the files that the options ask for. The answers are safe by now: if a file cannot be
    /// written, a message says so, and the exit code stays.
    pub(crate) fn tell(&self, reporting: &Reporting, quiet: bool) {
        let facts = self.facts();
        let json = serde_json::to_string(&facts).unwrap_or_default();
        if !quiet && reporting.progress == ProgressFormat::Json {
            say::raw(json);
        } else if !quiet {
            say::line(&facts);
        }
        let pretty = |facts| serde_json::to_string_pretty(facts).map(|text| text + "\n").unwrap_or_default();
        if let Some(path) = &reporting.summary {
            write(path, "summary", &pretty(&facts));
        }
        if let Some(path) = &reporting.html {
            let page = self.watch.read(|counts| report::page(&facts, counts));
            write(path, "report", &page);
        }
    }

    /// The summary as it is now.
    pub(crate) fn facts(&self) -> Facts {
        self.watch.read(|counts| Facts::of(self, counts, Instant::now()))
    }
}

fn write(path: &Path, what: &str, text: &str) {
    if let Err(error) = std::fs::write(path, text) {
        say::line(format_args!("the {what} cannot be written to {}: {error}", path.display()));
    }
}

/// A time in seconds, rounded to a millisecond.
fn in_seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
