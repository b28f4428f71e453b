//! `outbound status --store`: how a batch in a database stands, and which machines work on it. It changes nothing.

use std::{collections::BTreeMap, time::Duration};

use outbound::work::WorkStore;
use outbound_postgres::{Member, PostgresWork};
use serde::Serialize;
use serde_json::Value;

use super::{
    export::all,
    store::{self, failed},
    team::limits,
};
use crate::{
    control::Limits,
    exit::{ALL_SUCCEEDED, Stop},
    output::Lines,
    progress::{plain, time},
    stdout::print,
    summary::words::dollars,
};

/// This many answers are read with one call.
const AT_ONCE: usize = 1_000;

/// With more dead rows than this for each row in use, the database falls behind.
const DEAD_ROWS: u64 = 1_000_000;

/// A transaction that is open for longer keeps the database from cleaning up.
const OLD: Duration = Duration::from_secs(600);

pub(crate) async fn status(address: &str, name: &str, in_json: bool) -> Result<u8, Stop> {
    let (work, batch) = store::look(address, name).await?;
    let counts = work.counts().await.map_err(|error| failed(&error))?;
    let failures = if counts.failed > 0 { failures(&work).await? } else { Vec::new() };
    let orders = batch.orders().await.map_err(|error| failed(&error))?;
    let members = batch.members().await.map_err(|error| failed(&error))?;
    let health = work.health().await.map_err(|error| failed(&error))?;
    let done = (counts.done + counts.exported) as u64;
    let status = Status {
        batch: name.to_owned(),
        requests: all(&counts),
        answered: done.saturating_sub(counts.failed as u64),
        failed: counts.failed as u64,
        failures,
        ready: counts.ready as u64,
        claimed: counts.claimed as u64,
        may_have_been_sent: counts.ambiguous as u64,
        paused: orders.paused,
        limits: limits(&orders).map_err(Stop::Usage)?,
        budget_taken: orders.taken as f64 / 1e6,
        machines: members.iter().map(Machine::of).collect(),
        dead_rows: health.dead_rows,
        oldest_transaction_s: health.oldest_snapshot.as_secs(),
    };
    let said = if in_json { serde_json::to_string(&status).unwrap_or_default() } else { status.in_words() };
    print(said.trim_end())?;
    Ok(ALL_SUCCEEDED)
}

#[derive(Debug, Serialize)]
struct Status {
    batch: String,
    requests: u64,
    answered: u64,
    failed: u64,
    failures: Vec<Failure>,
    /// They wait, and were not sent.
    ready: u64,
    /// Machines have taken them.
    claimed: u64,
    /// They wait, and a machine that is gone may have sent them.
    may_have_been_sent: u64,
    paused: bool,
    limits: Limits,
    /// Dollars that machines have taken of the budget, spent or not.
    budget_taken: f64,
    machines: Vec<Machine>,
    dead_rows: u64,
    oldest_transaction_s: u64,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: String,
    count: u64,
    /// The message of the first of them.
    message: String,
}

/// One process that works on a batch, or did so until it died.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    name: String,
    pub(super) is_at_work: bool,
    began_s: u64,
    seen_s: u64,
    text: String,
    /// As in `run --progress json`.
    status: Value,
}

impl Machine {
    pub(super) fn of(member: &Member) -> Self {
        let mut told: Value = serde_json::from_str(&member.status).unwrap_or_default();
        Self {
            name: member.holder.clone(),
            is_at_work: member.is_present(),
            began_s: member.began.as_secs(),
            seen_s: member.seen.as_secs(),
            text: told["text"].as_str().unwrap_or_default().to_owned(),
            status: told["status"].take(),
        }
    }

    pub(super) fn in_words(&self) -> String {
        let Self { name, text, .. } = self;
        if self.is_at_work {
            return format!("{name}: {text}");
        }
        let seen = time(Duration::from_secs(self.seen_s));
        format!("{name}: not heard of for {seen}; what it had taken goes to the others when its lease ends")
    }
}

impl Status {
    fn in_words(&self) -> String {
        let Self { batch, requests, answered, failed, ready, claimed, may_have_been_sent, .. } = self;
        let mut said =
            format!("the batch {}: {answered} answered, {failed} failed, of {requests}\n", plain(batch));
        for Failure { code, count, message } in &self.failures {
            said += &format!("  {count} {}, the first: {}\n", plain(code), plain(message));
        }
        if *ready > 0 {
            said += &format!("{ready} wait to be sent\n");
        }
        if *claimed > 0 {
            said += &format!("{claimed} are with a machine\n");
        }
        if *may_have_been_sent > 0 {
            said += &format!(
                "{may_have_been_sent} may have been sent by a machine that is gone, and may have been billed: they are sent again, and \
                 their answers are marked as possible duplicates\n"
            );
        }
        if self.paused {
            said += "It is paused: `outbound ctl` with `resume` lets it go on\n";
        }
        let Limits { rpm, tpm, concurrency, budget } = self.limits;
        for (limit, what) in [
            (rpm, "requests a minute, all machines together"),
            (tpm, "tokens a minute, all machines together"),
            (concurrency, "requests in flight, each machine"),
        ] {
            if let Some(limit) = limit {
                said += &format!("at most {limit} {what}\n");
            }
        }
        if let Some(budget) = budget {
            let (budget, taken) = (dollars(budget), dollars(self.budget_taken));
            said += &format!("at most {budget} for the whole batch, of which machines have taken {taken}\n");
        }
        match self.machines.len() {
            0 => said += "No machine works on it\n",
            1 => said += "1 machine:\n",
            count => said += &format!("{count} machines:\n"),
        }
        for machine in &self.machines {
            said += &format!("  {}\n", plain(&machine.in_words()));
        }
        let age = Duration::from_secs(self.oldest_transaction_s);
        if age > OLD {
            said += &format!(
                "A transaction in the database has been open for {}: until it ends, the database cannot clean up, and becomes slower\n",
                time(age)
            );
        }
        if self.dead_rows > DEAD_ROWS {
            said += &format!(
                "The tables have {} rows that are no longer used: see to it that autovacuum runs\n",
                self.dead_rows
            );
        }
        said
    }
}

/// The failures by their code, read from their lines.
async fn failures(work: &PostgresWork) -> Result<Vec<Failure>, Stop> {
    let mut by_code = BTreeMap::<String, Failure>::new();
    let mut after = None;
    loop {
        let answers = work.answers(after, AT_ONCE).await.map_err(|error| failed(&error))?;
        let Some(last) = answers.last() else { break };
        after = Some(last.position);
        for answer in answers.iter().filter(|answer| answer.failed) {
            let mut lines = Lines::new(&answer.bytes[..]);
            let Ok(Some(line)) = lines.next() else { continue };
            let Some(error) = line.entry().ok().flatten().and_then(|entry| entry.error) else { continue };
            let code = error.code.clone().into_owned();
            let first = || Failure { code: code.clone(), count: 0, message: plain(&error.message) };
            by_code.entry(code.clone()).or_insert_with(first).count += 1;
        }
    }
    Ok(by_code.into_values().collect())
}
