//! The summary as text, for the end of a run.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use super::{Facts, Ids, Whole};
use crate::progress::{amount, plain, seconds, time};

impl Display for Facts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.counts(f)?;
        self.failures(f)?;
        self.what_it_took(f)?;
        self.waits(f)?;
        self.what_is_left(f)
    }
}

impl Facts {
    fn counts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} succeeded, {} failed", self.succeeded, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} done before", self.skipped)?;
        }
        write!(f, " in {}", wall(self.wall_s))
    }

    fn failures(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (class, failures) in &self.failures {
            write!(f, "\n  {class}: {}; first {}: ", failures.count, plain(&failures.first_id))?;
            f.write_str(&plain(&failures.first_message))?;
        }
        Ok(())
    }

    fn what_it_took(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\nattempts {}, retries among them {}, refused for the rate {}",
            self.attempts, self.retries, self.refused
        )?;
        write!(f, "; possible duplicates {}", self.possible_duplicates)?;
        if self.reused > 0 {
            write!(f, "; {} answered without a request of their own", self.reused)?;
        }
        write!(f, "\ntokens {} in, {} out", self.input_tokens, self.output_tokens)?;
        if let Some(cost) = self.cost {
            write!(f, "; cost {}", dollars(cost))?;
        }
        let Some(latency) = self.latency else { return Ok(()) };
        let [p50, p90, p99, longest] =
            [latency.p50_s, latency.p90_s, latency.p99_s, latency.longest_s].map(exact);
        write!(f, "\nlatency p50 {p50}, p90 {p90}, p99 {p99}, longest {longest}")?;
        let slowest =
            self.slowest.iter().map(|slow| format!("{} {}", plain(&slow.id), exact(slow.latency_s)));
        write!(f, "\n  slowest: {}", slowest.collect::<Vec<_>>().join(", "))
    }

    fn waits(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for wait in &self.waits {
            let (sum, share) = (time(Duration::from_secs_f64(wait.sum_s)), percent(wait.share));
            write!(
                f,
                "\nwaited for {}: {sum} summed over all requests; at least one waited in {share} of the time",
                reason(wait.reason)
            )?;
            if wait.reason == "limits" {
                let mut short: Vec<_> = self.short_of.iter().collect();
                short.sort_by(|one, other| other.1.total_cmp(one.1));
                for (what, length) in short {
                    let share = percent((length / self.wall_s.max(1e-9)).min(1.0));
                    write!(f, "\n  the next request waited for {}: {share} of the time", plain(what))?;
                }
            }
        }
        let Some(efficiency) = &self.efficiency else { return Ok(()) };
        write!(
            f,
            "\nefficiency (E) {:.2}: the best time under the known limits is {}, for {}; it took {}",
            efficiency.e,
            wall(efficiency.best_s),
            plain(&efficiency.bound_by),
            wall(self.wall_s)
        )
    }

    fn what_is_left(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(stopped) = &self.stopped {
            write!(f, "\nstopped: {}", plain(stopped))?;
        }
        if self.perhaps_billed.count > 0 {
            let count = self.perhaps_billed.count;
            write!(
                f,
                "\n{count} may have been billed, and their answers are lost: {}",
                ids(&self.perhaps_billed)
            )?;
        }
        if self.unwritten.count > 0 {
            let count = self.unwritten.count;
            write!(f, "\n{count} were answered, but are not in the output: {}", ids(&self.unwritten))?;
        }
        if self.not_sent > 0 {
            write!(f, "\nnot sent: {}", self.not_sent)?;
        }
        let output = plain(&self.output);
        match self.failed {
            0 => write!(f, "\n{} answers written to {output}", self.succeeded)?,
            failed => {
                let lines = self.succeeded + failed;
                write!(f, "\n{lines} lines written to {output}, {failed} of them with an error")?;
            }
        }
        if let Some(batch) = &self.batch {
            write!(f, "\n{batch}")?;
        }
        if self.failures.contains_key("auth") {
            f.write_str(
                "\nthe key was refused, or none was sent: give the right one with --key-env, --key-file or --key-command; \
                 the same command then sends the refused requests again",
            )?;
        }
        if self.failures.contains_key("quota_spent") {
            f.write_str("\nthe quota is used up: when there is more, the same command sends the refused requests again")?;
        }
        if let Some(command) = &self.go_on {
            write!(f, "\nto go on: {command}")?;
        }
        match &self.simulated {
            Some(simulated) => write!(f, "\n{simulated}"),
            None => Ok(()),
        }
    }
}

impl Display for Whole {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, other_machines, late, .. } = self;
        write!(f, "the batch {}: ", plain(name))?;
        match (self.requests, self.done, self.failed) {
            (Some(requests), Some(done), Some(failed)) => {
                write!(f, "{done} of {requests} lines are done, {failed} of them failed")?;
            }
            _ => f.write_str("the database did not say how it stands")?,
        }
        match other_machines {
            0 => f.write_str("; no other machine works on it")?,
            1 => f.write_str("; 1 other machine works on it")?,
            others => write!(f, "; {others} other machines work on it")?,
        }
        if *late > 0 {
            write!(
                f,
                "\n{late} answers came after their time; another machine has sent those requests again"
            )?;
        }
        Ok(())
    }
}

/// What requests waited for.
pub(crate) fn reason(name: &str) -> &'static str {
    match name {
        "limits" => "the limits",
        "refused" => "the end of refusals (429)",
        "outage" => "the server to be there",
        "backoff" => "the next attempt",
        "account" => "the account",
        "paused" => "the end of a pause",
        "money" => "the budget",
        "budget" => "the retry budget",
        _ => "an equal request",
    }
}

pub(crate) fn ids(ids: &Ids) -> String {
    let mut text = ids.ids.iter().map(|id| plain(id)).collect::<Vec<_>>().join(", ");
    let more = ids.count - ids.ids.len() as u64;
    if more > 0 {
        text += &format!(" and {} more", amount(more as f64));
    }
    text
}

pub(crate) fn dollars(cost: f64) -> String {
    if cost < 0.1 { format!("${cost:.6}") } else { format!("${cost:.2}") }
}

pub(crate) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.01 { String::from("under 1 %") } else { format!("{:.0} %", share * 100.0) }
}

/// A time of the whole run: `12.3 s`, `3m 20s`.
pub(crate) fn wall(length: f64) -> String {
    if length < 60.0 { format!("{length:.1} s") } else { time(Duration::from_secs_f64(length)) }
}

fn exact(length: f64) -> String {
    seconds(Duration::from_secs_f64(length))
}
