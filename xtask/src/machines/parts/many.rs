//! `many`: a million jobs by the store alone, behind a transaction that is held open: as fast at the end as at the beginning.

use std::{process::Command, time::Duration};

use crate::{
    machines::{
        process::Running,
        row::Row,
        trial::Setup,
        wait::{now, pause},
    },
    run::{Result, program},
};

const BUILD: Duration = Duration::from_secs(1_200);
const LIMIT: Duration = Duration::from_secs(900);
const BENCH: [&str; 5] = ["bench", "--package", "outbound-postgres", "--bench", "jobs"];
/// How many leases were given out: as many as jobs that were claimed.
const CLAIMED: &str = "select coalesce(max(last_value), 0) from pg_sequences \
                       where schemaname like 'outbound_bench_%' and sequencename = 'lease'";

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let jobs: u32 = if setup.is_quick { 40_000 } else { 1_000_000 };
    let profile: &[&str] = if setup.is_quick { &["--profile", "dev"] } else { &[] };
    let folder = setup.folder.join("many");
    std::fs::create_dir_all(&folder)?;
    let name = format!("machines_{}_many", std::process::id());
    let address = setup.database.create(&name)?;
    let bench = |more: &[&str]| {
        let mut command = Command::new(program());
        command.args(BENCH).args(profile).args(more).env("OUTBOUND_TEST_POSTGRES", &address);
        command
    };
    let mut build = Running::start("build", bench(&["--no-run"]), &folder)?;
    if !build.wait(BUILD)?.success() {
        return Err(format!("the bench does not build\n{}", build.last_lines()).into());
    }
    let mut rows = Vec::new();
    for held in [false, true] {
        let (jobs_text, more) = (jobs.to_string(), if held { &["--held"][..] } else { &[] });
        let command = bench(&[&["--", "--jobs", &jobs_text], more].concat());
        let mut running = Running::start(if held { "held" } else { "free" }, command, &folder)?;
        let samples = samples(setup, &name, &mut running)?;
        let printed = running.printed();
        let what = if held { ", behind an open transaction" } else { "" };
        let whole = printed.lines().filter_map(|line| line.strip_suffix(" jobs/s"));
        let whole = whole.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).next_back();
        let whole = whole.ok_or_else(|| format!("the bench says no rate\n{}", running.last_lines()))?;
        let a_second = format!("{whole:.0}");
        rows.push(Row::goal(&format!("jobs a second{what}"), ">= 5000", a_second, whole >= 5_000.0));
        let what = format!("last fifth beside the first{what}");
        rows.push(match ends(&samples, f64::from(jobs)) {
            Some((first, last)) => {
                let measured = format!("{:.2} ({first:.0}, {last:.0})", last / first);
                Row::goal(&what, ">= 0.8", measured, last >= 0.8 * first)
            }
            None => Row::goal(&what, ">= 0.8", "too short to tell", false),
        });
    }
    setup.database.remove(&name);
    Ok(rows)
}

/// When how many jobs were claimed.
fn samples(setup: &Setup, name: &str, running: &mut Running) -> Result<Vec<(f64, f64)>> {
    let began = now();
    let mut samples = Vec::new();
    loop {
        if let Some(status) = running.ended()? {
            return if status.success() {
                Ok(samples)
            } else {
                Err(format!("the bench: {status}\n{}", running.last_lines()).into())
            };
        }
        if began.elapsed() > LIMIT {
            return Err(format!("the bench takes longer than {} s", LIMIT.as_secs()).into());
        }
        let claimed = setup.database.ask(name, CLAIMED)?.parse()?;
        samples.push((began.elapsed().as_secs_f64(), claimed));
        pause(Duration::from_millis(100));
    }
}

/// Jobs a second in the first fifth of the jobs, and in the last.
fn ends(samples: &[(f64, f64)], jobs: f64) -> Option<(f64, f64)> {
    let between = |from: f64, to: f64| {
        let some: Vec<_> = samples.iter().filter(|(_, claimed)| (from..to).contains(claimed)).collect();
        let (first, last) = (some.first()?, some.last()?);
        (last.0 > first.0).then(|| (last.1 - first.1) / (last.0 - first.0))
    };
    Some((between(1.0, jobs / 5.0)?, between(jobs * 4.0 / 5.0, jobs)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_are_those_of_both_ends() {
        let mut samples: Vec<_> = (0..50).map(|at| (f64::from(at), f64::from(at) * 20.0)).collect();
        samples.extend((0..50).map(|at| (50.0 + f64::from(at) * 2.0, 1_000.0 + f64::from(at) * 20.0)));
        let (first, last) = ends(&samples, 2_000.0).expect("enough of them");
        assert!((first - 20.0).abs() < 1e-9 && (last - 10.0).abs() < 1e-9, "{first} {last}");
        assert_eq!(ends(&[], 10.0), None);
    }
}
