//! The referee: one simulated provider with one quota, in a process of its own, whose ledger is read at the end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    best::Quota,
    judge::{Send, ledger},
    process::Running,
    wait::until,
};
use crate::run::Result;

const LIMIT: Duration = Duration::from_secs(30);

/// How the provider behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) quota: Quota,
    /// Median, 99 of 100, and the longest, in seconds.
    pub(crate) latency: [f64; 3],
    /// What the command is told: how long one attempt may take, in seconds.
    pub(crate) attempt_timeout: u32,
    /// Whether it has the faults of BATCH-2000.
    pub(crate) has_faults: bool,
}

impl Manners {
    fn scenario(&self, items: usize) -> String {
        let Self { quota, latency: [median, p99, longest], has_faults, .. } = *self;
        let faults = [
            "{ status = 500, chance = 0.01 }",
            "{ status = 503, retry_after = \"1s\", chance = 0.005 }",
            "{ kind = \"reset-before-headers\", chance = 0.003 }",
            "{ kind = \"reset-after-headers\", after = 8, chance = 0.002 }",
            "{ kind = \"silence\", chance = 0.002 }",
            "{ kind = \"cut-short\", after = 8, chance = 0.002 }",
            "{ kind = \"stall\", after = 8, chance = 0.001 }",
            "{ kind = \"truncate\", after = 8, chance = 0.001 }",
        ];
        let faults = if has_faults { faults.join(", ") } else { String::new() };
        format!(
            "story = \"several processes share one quota\"\n\
             [workload]\nrequests = {items}\n\
             [server]\nseed = 1\nrequests_per_minute = {}\ntokens_per_minute = {}\nburst = \"1s\"\n\
             latency = {{ median = \"{median}s\", p99 = \"{p99}s\", max = \"{longest}s\" }}\n\
             fault = [{faults}]\n\
             [expect]\nanswered = {items}\n",
            quota.requests, quota.tokens
        )
    }
}

/// The provider at work.
#[derive(Debug)]
pub(crate) struct Referee {
    process: Running,
    pub(crate) url: String,
    ledger: PathBuf,
}

impl Referee {
    /// `command` starts the command `outbound`, with nothing behind it.
    pub(crate) fn start(mut command: Command, folder: &Path, manners: Manners, items: usize) -> Result<Self> {
        let (scenario, ledger) = (folder.join("referee.toml"), folder.join("ledger.jsonl"));
        fs::write(&scenario, manners.scenario(items))?;
        command.args(["sim", "--port", "0", "--scenario"]).arg(&scenario).arg("--ledger").arg(&ledger);
        let mut process = Running::start("referee", command, folder)?;
        let url = until("the referee's address", LIMIT, || {
            if process.ended()?.is_some() {
                return Err(format!("the referee ended\n{}", process.last_lines()).into());
            }
            Ok(process.printed().lines().find(|line| line.starts_with("http://")).map(str::to_owned))
        })?;
        Ok(Self { process, url, ledger })
    }

    /// Host and port.
    pub(crate) fn server(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches("/v1")
    }

    /// Ends it, and reads what it saw.
    pub(crate) fn end(mut self) -> Result<Vec<Send>> {
        self.process.signal("INT")?;
        self.process.wait(LIMIT)?;
        ledger(&fs::read_to_string(&self.ledger)?)
    }
}
