//! `ctl`: all who work on the batch are paused, slowed, and drained by one command; others finish it.

use std::time::Duration;

use super::kill::{QUOTA, manners};
use crate::{
    machines::{
        best::pace,
        judge::Send,
        row::Row,
        trial::{Setup, Trial},
        wait::{now, pause, seconds},
    },
    run::Result,
};

const PROCESSES: usize = 3;
const LIMIT: Duration = Duration::from_secs(180);
/// How long a command may take until all have followed it.
const FOLLOWED: f64 = 2.5;
/// How long the processes are watched after each command.
const WATCHED: f64 = 3.0;
/// Requests a minute, after `limits`.
const SLOW: u64 = 600;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let mut trial = Trial::new(setup, "ctl", manners(setup), if setup.is_quick { 500 } else { 1_500 }, 20.0)?;
    for _ in 0..PROCESSES {
        trial.start(setup)?;
    }
    pause(seconds(3.0));
    let paused = after(&trial, setup, &["pause"])?;
    let resumed = after(&trial, setup, &["resume"])?;
    let slowed = after(&trial, setup, &["limits", "--rpm", &SLOW.to_string()])?;
    let began = now();
    trial.ctl(setup, &["drain"])?;
    let ended = all_end(&mut trial)?;
    let drained = began.elapsed().as_secs_f64();
    let quiet = trial.time();
    for _ in 0..PROCESSES {
        trial.start(setup)?;
    }
    trial.wait(Some(setup), LIMIT)?;
    let status = trial.status(setup)?;
    let end = trial.end(setup)?;

    let mut rows = end.rows;
    let sent = |from: f64| end.sends.iter().filter(|send| within(send, from)).count();
    rows.push(Row::goal("calls while paused", "0", sent(paused), sent(paused) == 0));
    let full = QUOTA.requests_a_second();
    let again = pace(&end.sends, resumed, resumed + WATCHED) / full;
    rows.push(Row::goal("answers after resume, of full rate", ">= 0.7", format!("{again:.2}"), again >= 0.7));
    let slow = sent(slowed) as f64 / WATCHED;
    let limit = SLOW as f64 / 60.0;
    rows.push(Row::goal(
        "calls a second after limits --rpm 600",
        "<= 12",
        format!("{slow:.1}"),
        slow <= limit * 1.2,
    ));
    let measured = format!("{ended} of {PROCESSES} after {drained:.1} s");
    rows.push(Row::goal("processes that ended by drain", "all", measured, ended == PROCESSES));
    let after_drain = pace(&end.sends, quiet, quiet + 1.0);
    rows.push(Row::figure("answers a second after the drain", format!("{after_drain:.1}")));
    rows.push(Row::figure("status", status.split_whitespace().collect::<Vec<_>>().join(" ")));
    Ok(rows)
}

/// Says it to all, waits until they have followed, and watches for a while. Gives when the watching began.
fn after(trial: &Trial, setup: &Setup, words: &[&str]) -> Result<f64> {
    trial.ctl(setup, words)?;
    pause(seconds(FOLLOWED));
    let from = trial.time();
    pause(seconds(WATCHED));
    Ok(from)
}

fn within(send: &Send, from: f64) -> bool {
    (from..from + WATCHED).contains(&send.at)
}

/// How many end by themselves. The others are ended.
fn all_end(trial: &mut Trial) -> Result<usize> {
    let mut ended = 0;
    for mut worker in std::mem::take(&mut trial.workers) {
        ended += usize::from(worker.wait(Duration::from_secs(30)).is_ok());
    }
    Ok(ended)
}
