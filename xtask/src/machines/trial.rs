//! One batch with its database, its referee and its processes, from the input to the verdict.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::{
    best::{Quota, most_in},
    database::Database,
    input,
    judge::{Item, Send, Verdict, judge},
    process::{Running, finished},
    referee::{Manners, Referee},
    row::Row,
    wait::{now, until},
};
use crate::run::Result;

/// The environment variable with the key: not a real one.
pub(crate) const KEY: (&str, &str) = ("OUTBOUND_MACHINES_KEY", "a-key-for-the-proof");
const NAME: &str = "nightly";
/// How long `export` may take.
const EXPORT: Duration = Duration::from_secs(120);
/// How often a process that ended with an error is started again, all processes together.
const RESTARTS: usize = 60;
/// Calls are counted in spans of so many seconds.
const SPAN: f64 = 10.0;

/// What all parts have in common.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) folder: PathBuf,
    /// The command `outbound`.
    pub(crate) outbound: PathBuf,
    pub(crate) is_quick: bool,
    pub(crate) seed: u64,
    pub(crate) database: Database,
}

impl Setup {
    /// The command, without a proxy and without a key in its environment.
    pub(crate) fn command(&self) -> Command {
        self.inside(Command::new(&self.outbound))
    }

    /// The same behind another command that starts it.
    pub(crate) fn inside(&self, mut command: Command) -> Command {
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.env(KEY.0, KEY.1).current_dir(&self.folder);
        command
    }
}

/// A batch, and those who work on it.
pub(crate) struct Trial {
    pub(crate) database: String,
    pub(crate) store: String,
    pub(crate) folder: PathBuf,
    pub(crate) items: Vec<Item>,
    pub(crate) input: PathBuf,
    pub(crate) manners: Manners,
    pub(crate) lease: Duration,
    pub(crate) url: String,
    referee: Referee,
    began: Instant,
    pub(crate) workers: Vec<Running>,
    started: usize,
    /// Processes that ended with an error, and why.
    pub(crate) bad_ends: Vec<String>,
}

/// What came of a trial.
pub(crate) struct Ended {
    pub(crate) sends: Vec<Send>,
    pub(crate) verdict: Verdict,
    pub(crate) rows: Vec<Row>,
}

impl Trial {
    pub(crate) fn new(setup: &Setup, part: &str, manners: Manners, items: usize, lease: f64) -> Result<Self> {
        Self::with_referee(setup, part, manners, items, lease, setup.command())
    }

    /// `referee` starts the command `outbound` where the provider is to be.
    pub(crate) fn with_referee(
        setup: &Setup,
        part: &str,
        manners: Manners,
        items: usize,
        lease: f64,
        referee: Command,
    ) -> Result<Self> {
        let folder = setup.folder.join(part);
        fs::create_dir_all(&folder)?;
        let database = format!("machines_{}_{part}", std::process::id());
        let store = setup.database.create(&database)?;
        let input = folder.join("in.jsonl");
        let items = input::write(&input, items)?;
        let referee = Referee::start(referee, &folder, manners, items.len())?;
        Ok(Self {
            database,
            store,
            items,
            input,
            manners,
            lease: super::wait::seconds(lease),
            url: referee.url.clone(),
            folder,
            referee,
            began: now(),
            workers: Vec::new(),
            started: 0,
            bad_ends: Vec::new(),
        })
    }

    /// Seconds since the referee started, which are the times of its ledger.
    pub(crate) fn time(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(crate) fn referee_server(&self) -> &str {
        self.referee.server()
    }

    pub(crate) fn quota(&self) -> Quota {
        self.manners.quota
    }

    /// The arguments of a process that works on the batch.
    pub(crate) fn work_on(&self, mut command: Command) -> Command {
        let Quota { requests, tokens } = self.quota();
        let lease = format!("{}ms", self.lease.as_millis());
        command.arg("run").arg(&self.input).args(["--store", &self.store, "--name", NAME, "--lease", &lease]);
        command.args(["--base-url", &self.url, "--key-env", KEY.0]);
        command.args(["--attempt-timeout", &self.manners.attempt_timeout.to_string()]);
        command.args(["--rpm", &requests.to_string(), "--tpm", &tokens.to_string()]);
        command
    }

    /// Starts one more process.
    pub(crate) fn start(&mut self, setup: &Setup) -> Result {
        let command = self.work_on(setup.command());
        self.start_as(command)
    }

    pub(crate) fn start_as(&mut self, command: Command) -> Result {
        self.started += 1;
        let worker = Running::start(&format!("worker-{}", self.started), command, &self.folder)?;
        self.workers.push(worker);
        Ok(())
    }

    /// Says `ctl WORDS` to all who work on the batch.
    pub(crate) fn ctl(&self, setup: &Setup, words: &[&str]) -> Result<String> {
        let mut command = setup.command();
        command.args(["ctl", "--store", &self.store, "--name", NAME]).args(words);
        finished("ctl", command, &self.folder, EXPORT)
    }

    pub(crate) fn status(&self, setup: &Setup) -> Result<String> {
        let mut command = setup.command();
        command.args(["status", "--store", &self.store, "--name", NAME, "--json"]);
        finished("status", command, &self.folder, EXPORT)
    }

    /// Waits until all processes have ended. With a setup, one that ends with an error is started again, as a supervisor does.
    pub(crate) fn wait(&mut self, again: Option<&Setup>, limit: Duration) -> Result {
        let began = now();
        until("the end of all processes", limit, || {
            let mut at_work = Vec::new();
            let mut bad = 0;
            for mut worker in std::mem::take(&mut self.workers) {
                match worker.ended()? {
                    None => at_work.push(worker),
                    Some(status) if status.success() => {}
                    Some(status) => {
                        let why = format!("{} {status}:\n{}", worker.name, worker.last_lines());
                        self.bad_ends.push(why);
                        bad += 1;
                    }
                }
            }
            self.workers = at_work;
            if self.bad_ends.len() > RESTARTS {
                let last = self.bad_ends.last().map_or("", String::as_str);
                return Err(format!("processes end with errors all the time: {last}").into());
            }
            if let Some(setup) = again {
                (0..bad).try_for_each(|_| self.start(setup))?;
            }
            Ok(self.workers.is_empty().then_some(()))
        })
        .map_err(|error| {
            let last: String = self
                .workers
                .iter()
                .map(|worker| format!("{}\n{}", worker.name, worker.last_lines()))
                .collect();
            format!("{error}, after {:.0} s\n{last}", began.elapsed().as_secs_f64())
        })?;
        Ok(())
    }

    /// Exports the answers, ends the referee, and holds all against each other.
    pub(crate) fn end(self, setup: &Setup) -> Result<Ended> {
        let export = self.folder.join("export.jsonl");
        let mut command = setup.command();
        command.args(["export", "--store", &self.store, "--name", NAME, "-o"]).arg(&export);
        finished("export", command, &self.folder, EXPORT)?;
        let sends = self.referee.end()?;
        let verdict = judge(&self.items, &sends, &fs::read_to_string(&export)?)?;
        setup.database.remove(&self.database);
        let rows = facts(&verdict, &sends, self.manners.quota, &self.bad_ends);
        note(&self.folder, &verdict, &self.bad_ends)?;
        Ok(Ended { sends, verdict, rows })
    }
}

/// What is wrong, by name, for who looks for the cause.
fn note(folder: &Path, verdict: &Verdict, bad_ends: &[String]) -> Result {
    fs::write(folder.join("verdict.txt"), format!("{verdict:#?}\n{}", bad_ends.concat()))?;
    Ok(())
}

/// What every trial has to hold.
fn facts(verdict: &Verdict, sends: &[Send], quota: Quota, bad_ends: &[String]) -> Vec<Row> {
    let none = |what: &str, count: usize| Row::must(what, "0", count, count == 0);
    let most = most_in(sends, SPAN);
    // What the provider lets through in such a span, and one second's worth for calls that were on their way.
    let bound = quota.requests_a_second() * (SPAN + 2.0);
    vec![
        none("lost", verdict.lost.len()),
        none("failed", verdict.failed.len()),
        none("two lines in the export", verdict.twice.len()),
        none("billed more than once and not flagged", verdict.unflagged.len()),
        none("answers that the provider never gave", verdict.invented.len()),
        none("lines and sends of no request", verdict.strange.len()),
        Row::must("calls in any 10 s", &format!("<= {bound:.0}"), most, most as f64 <= bound),
        Row::goal("requests with two idempotency keys", "0", verdict.keys.len(), verdict.keys.is_empty()),
        Row::goal("processes that ended with an error", "0", bad_ends.len(), bad_ends.is_empty()),
        Row::figure(
            "requests, sends, billed again, flagged",
            format!("{} {} {} {}", verdict.items, verdict.sends, verdict.billed_again, verdict.flagged),
        ),
        Row::figure("refused for the quota, of 1,000", format!("{:.1}", verdict.refused_per_thousand())),
    ]
}
