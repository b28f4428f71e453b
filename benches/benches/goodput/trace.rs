//! What happened in each second.

use std::time::Duration;

use outbound_simulator::{Entry, Outcome};

use crate::{arguments::Setting, run::Run, table};

pub(crate) fn print(setting: &Setting, seed: u64, run: &Run) {
    println!(
        "\n{}, seed {seed}: {:.2} s, oracle {:.2} s",
        table::name(setting),
        run.time.as_secs_f64(),
        run.oracle.as_secs_f64()
    );
    println!("second  admitted  429  outage  faulty  answered  in flight at its end");
    let entries = run.ledger.entries();
    for second in 0..=run.time.as_secs() {
        let from = Duration::from_secs(second);
        let to = from + Duration::from_secs(1);
        let came = || entries.iter().filter(|entry| entry.seen.at >= from && entry.seen.at < to);
        let ended = || entries.iter().filter(|entry| entry.ended.is_some_and(|at| at >= from && at < to));
        let refused = came().filter(|entry| matches!(entry.outcome, Outcome::OverQuota(_))).count();
        let admitted = came().filter(|entry| entry.was_admitted()).count();
        let runs = |entry: &&Entry| entry.seen.at < to && entry.ended.is_none_or(|at| at >= to);
        println!(
            "{second:>6}  {admitted:>8}  {refused:>3}  {:>6}  {:>6}  {:>8}  {:>9}",
            came().count() - refused - admitted,
            came().filter(|entry| entry.fault.is_some()).count(),
            ended().filter(|entry| entry.outcome == Outcome::Answered).count(),
            entries.iter().filter(runs).count(),
        );
    }
}
