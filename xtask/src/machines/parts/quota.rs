//! `quota`: four processes share one quota: how near they come to the best time.

use std::time::Duration;

use crate::{
    machines::{
        best::{Quota, best},
        referee::Manners,
        row::Row,
        trial::{Setup, Trial},
        wait::now,
    },
    run::Result,
};

pub(super) const PROCESSES: usize = 4;
/// In flight in one process, at most: the command's default.
pub(super) const AT_ONCE: usize = 64;
pub(super) const LIMIT: Duration = Duration::from_secs(400);
const QUOTA: Quota = Quota { requests: 3_000, tokens: 600_000 };
/// BATCH-2000, variant A, without its outage.
const FULL: (Manners, usize) =
    (Manners { quota: QUOTA, latency: [0.8, 8.0, 12.0], attempt_timeout: 10, has_faults: true }, 2_000);
const QUICK: (Manners, usize) =
    (Manners { quota: QUOTA, latency: [0.3, 2.5, 3.5], attempt_timeout: 4, has_faults: true }, 400);
/// The statements that ask for quota.
const EXCHANGES: &str = "select coalesce(max(calls), 0) from pg_stat_user_functions where funcname like 'outbound_quota_exchange%'";

/// What is asked of whom.
pub(super) fn size(setup: &Setup) -> (Manners, usize) {
    if setup.is_quick { QUICK } else { FULL }
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let (manners, items) = size(setup);
    let mut trial = Trial::new(setup, "quota", manners, items, 120.0)?;
    if setup.database.is_own() {
        setup.database.ask(&trial.database, "select pg_stat_reset()")?;
    }
    let began = now();
    for _ in 0..PROCESSES {
        trial.start(setup)?;
    }
    trial.wait(Some(setup), LIMIT)?;
    let time = began.elapsed().as_secs_f64();
    let database = trial.database.clone();
    let exchanges: Option<f64> = match setup.database.is_own() {
        // Statistics arrive a little later.
        true => Some(setup.database.ask(&database, EXCHANGES)?.parse()?),
        false => None,
    };
    let asked = trial.items.clone();
    let ended = trial.end(setup)?;
    let reference = best(&asked, &ended.sends, manners.quota, PROCESSES * AT_ONCE);
    let (goodput, refused) = (reference / time, ended.verdict.refused_per_thousand());

    let mut rows = ended.rows;
    // In the small form a good part of the time is that of the start.
    let (words, least) = if setup.is_quick { (">= 0.7", 0.7) } else { (">= 0.95", 0.95) };
    rows.push(Row::goal("E, best time / time", words, of(goodput, reference, time), goodput >= least));
    rows.push(Row::goal("refused of 1,000", "<= 5", format!("{refused:.1}"), refused <= 5.0));
    if let Some(exchanges) = exchanges {
        let bursts = items as f64 / manners.quota.requests_a_second();
        let measured = format!("{:.1}; {exchanges} in all", exchanges / bursts);
        rows.push(Row::goal("exchanges for one burst of 50", "<= 12", measured, exchanges <= 12.0 * bursts));
        let a_second = exchanges / time / PROCESSES as f64;
        rows.push(Row::goal(
            "exchanges a second and process",
            "<= 10",
            format!("{a_second:.1}"),
            a_second <= 10.0,
        ));
    }
    Ok(rows)
}

pub(super) fn of(goodput: f64, reference: f64, time: f64) -> String {
    format!("{goodput:.3} = {reference:.1} s / {time:.1} s")
}
