//! What a run came to: counted as it goes, told at the end, whatever the end was.

use std::{collections::BTreeMap, path::Path, time::Duration};

use outbound::{ErrorKind, Money, Outcome, RequestManager, Stopped};
use tokio::time::Instant;

use crate::{
    args::{HowTold, Telling},
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

/// So many characters of a message are kept.
const LONGEST: usize = 2_000;

/// So many of the slowest are shown.
const SLOWEST: usize = 5;

#[derive(Debug)]
pub(crate) struct Summary {
    watch: Watch,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Requests whose answers were there before this run.
    pub(crate) skipped: u64,
    /// How many requests there are for this run, where that is known.
    pub(crate) asked: Option<u64>,
    /// Why not everything was sent.
    pub(crate) stopped: Option<Stopped>,
    /// What went wrong with the input or the output.
    pub(crate) trouble: Option<String>,
    /// Whether it was asked to end.
    pub(crate) interrupted: bool,
    /// What was spent, by the manager's count.
    pub(crate) spent: Money,
    /// From the start to the end.
    pub(crate) wall: Duration,
    /// Where the answers are.
    pub(crate) output: String,
    /// The command that goes on where this run ended.
    pub(crate) go_on: Option<String>,
    /// Of a demonstration: what the provider did, and what the usual loop came to.
    pub(crate) simulated: Option<Simulated>,
    failures: BTreeMap<&'static str, Failures>,
    possible_duplicates: u64,
    reused: u64,
    /// Successes whose answers took longest, the slowest first.
    slowest: Vec<Slow>,
    refused_account: bool,
}

/// The failures of one class.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Failures {
    pub(crate) count: u64,
    /// The id of the first, and what was said of it.
    pub(crate) first_id: String,
    pub(crate) first_message: String,
}

/// A success that took long.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Slow {
    pub(crate) id: String,
    /// Seconds of the attempt that brought the answer.
    pub(crate) latency_s: f64,
    /// Seconds from its first step to its end, waits included.
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
            simulated: None,
            failures: BTreeMap::new(),
            possible_duplicates: 0,
            reused: 0,
            slowest: Vec::new(),
            refused_account: false,
        }
    }

    /// An outcome that is in the output, or that an interrupt kept from its answer.
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

    /// The run has ended, and the manager is shut down.
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

    /// Says all of it, and writes what is asked for. The answers are safe by now: what cannot be written is said, and
    /// changes nothing.
    pub(crate) fn tell(&self, telling: &Telling, quiet: bool) {
        let facts = self.facts();
        let json = serde_json::to_string(&facts).unwrap_or_default();
        if !quiet && telling.progress == HowTold::Json {
            say::raw(json);
        } else if !quiet {
            say::line(&facts);
        }
        let pretty = |facts| serde_json::to_string_pretty(facts).map(|text| text + "\n").unwrap_or_default();
        if let Some(path) = &telling.summary {
            write(path, "summary", &pretty(&facts));
        }
        if let Some(path) = &telling.html {
            let page = self.watch.read(|counts| report::page(&facts, counts));
            write(path, "report", &page);
        }
    }

    /// All of it, as it is now.
    pub(crate) fn facts(&self) -> Facts {
        self.watch.read(|counts| Facts::of(self, counts, Instant::now()))
    }
}

fn write(path: &Path, what: &str, text: &str) {
    if let Err(error) = std::fs::write(path, text) {
        say::line(format_args!("the {what} is not written to {}: {error}", path.display()));
    }
}

/// In seconds, to a millisecond.
fn in_seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
