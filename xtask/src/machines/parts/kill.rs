//! `kill`: one process a second is killed, another one starts; some are stopped for longer than their lease.

use std::time::Duration;

use crate::{
    machines::{
        best::{Quota, lowest_pace, pace},
        draw::Draw,
        judge::Send,
        referee::Manners,
        row::Row,
        trial::{Setup, Trial},
        wait::pause,
    },
    run::Result,
};

struct Size {
    processes: usize,
    kills: u32,
    items: usize,
    lease: f64,
}

const FULL: Size = Size { processes: 16, kills: 60, items: 5_000, lease: 10.0 };
const QUICK: Size = Size { processes: 6, kills: 10, items: 800, lease: 3.0 };
const LIMIT: Duration = Duration::from_secs(300);
/// Tokens are not scarce here.
pub(super) const QUOTA: Quota = Quota { requests: 3_000, tokens: 3_000_000 };

/// Some answers take longer than a lease.
pub(super) fn manners(setup: &Setup) -> Manners {
    let (latency, attempt_timeout) =
        if setup.is_quick { ([0.3, 2.5, 4.0], 6) } else { ([0.4, 6.0, 12.0], 15) };
    Manners { quota: QUOTA, latency, attempt_timeout, has_faults: true }
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let size = if setup.is_quick { QUICK } else { FULL };
    let mut trial = Trial::new(setup, "kill", manners(setup), size.items, size.lease)?;
    let mut draw = Draw::new(setup.seed);
    for _ in 0..size.processes {
        trial.start(setup)?;
    }
    // The number of each process that is stopped, and when it goes on.
    let mut stopped: Vec<(String, f64)> = Vec::new();
    let (mut kills, mut stops) = (0, 0);
    let first = trial.time();
    for round in 0..size.kills {
        pause(Duration::from_secs(1));
        go_on(&mut trial, &mut stopped, false)?;
        let awake: Vec<usize> = (0..trial.workers.len())
            .filter(|&worker| stopped.iter().all(|(name, _)| *name != trial.workers[worker].name))
            .collect();
        let Some(&victim) = awake.get(draw.index(awake.len())) else { continue };
        if round % 4 == 3 {
            trial.workers[victim].signal("STOP")?;
            stopped.push((trial.workers[victim].name.clone(), trial.time() + 1.5 * size.lease));
            stops += 1;
        } else if trial.workers[victim].ended()?.is_none() {
            trial.workers[victim].signal("KILL")?;
            drop(trial.workers.swap_remove(victim));
            trial.start(setup)?;
            kills += 1;
        }
    }
    let last = trial.time();
    // Who is stopped longest comes back while the others work.
    while !stopped.is_empty() {
        pause(Duration::from_millis(200));
        go_on(&mut trial, &mut stopped, false)?;
    }
    trial.wait(Some(setup), LIMIT)?;
    let ended = trial.end(setup)?;

    let full = QUOTA.requests_a_second();
    let back = back_at(&ended.sends, last, full);
    let share = |pace: f64| format!("{:.2} of full rate", pace / full);
    let mut rows = ended.rows;
    rows.push(Row::figure("killed, stopped", format!("{kills} {stops}")));
    rows.push(match back {
        Some(time) => Row::goal(
            "full rate again after the last kill",
            &format!("<= {} s", size.lease),
            format!("{time:.1} s"),
            time <= size.lease,
        ),
        None => Row::goal("full rate again after the last kill", "one lease", "not seen", false),
    });
    rows.push(Row::figure("answers a second while killing", share(pace(&ended.sends, first, last))));
    let lowest = lowest_pace(&ended.sends, first + size.lease, last, size.lease);
    rows.push(Row::figure("the lowest in a span of one lease", share(lowest)));
    Ok(rows)
}

/// Wakes those whose time has come, or all.
fn go_on(trial: &mut Trial, stopped: &mut Vec<(String, f64)>, all: bool) -> Result {
    let time = trial.time();
    let (woken, rest) = std::mem::take(stopped).into_iter().partition(|(_, until)| all || *until <= time);
    *stopped = rest;
    for (name, _) in woken {
        if let Some(worker) = trial.workers.iter_mut().find(|worker| worker.name == name) {
            worker.signal("CONT")?;
        }
    }
    Ok(())
}

/// After how many seconds the rate was nine tenths of the full one for three seconds.
pub(super) fn back_at(sends: &[Send], from: f64, full: f64) -> Option<f64> {
    let end = sends.iter().map(|send| send.ended).fold(0.0, f64::max);
    let steps = (0_u32..).map(|step| f64::from(step) * 0.25).take_while(|after| from + after + 3.0 <= end);
    steps.into_iter().find(|after| pace(sends, from + after, from + after + 3.0) >= 0.9 * full)
}
