//! `late`: a process is stopped while its requests are under way, another one sends them too and is killed, and the first one
//! comes back and takes them again before its own answers are there.

use std::time::Duration;

use crate::{
    machines::{
        best::Quota,
        referee::Manners,
        row::Row,
        trial::{Setup, Trial},
        wait::{pause, seconds},
    },
    run::Result,
};

const LIMIT: Duration = Duration::from_secs(90);
const ITEMS: usize = 30;
const LEASE: f64 = 2.0;
/// All answers take about nine seconds.
const MANNERS: Manners = Manners {
    quota: Quota { requests: 6_000, tokens: 6_000_000 },
    latency: [9.0, 9.2, 9.4],
    attempt_timeout: 20,
    has_faults: false,
};

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let mut trial = Trial::new(setup, "late", MANNERS, ITEMS, LEASE)?;
    trial.start(setup)?;
    pause(seconds(2.0));
    trial.workers[0].signal("STOP")?;
    trial.start(setup)?;
    // The leases of the first end, and the second sends.
    pause(seconds(LEASE + 2.0));
    trial.workers[1].signal("KILL")?;
    drop(trial.workers.remove(1));
    trial.workers[0].signal("CONT")?;
    trial.wait(Some(setup), LIMIT)?;
    let ended = trial.end(setup)?;
    let mut rows = ended.rows;
    let again = ended.verdict.billed_again;
    rows.push(Row::goal("requests that both processes sent", "> 0", again, again > 0));
    Ok(rows)
}
