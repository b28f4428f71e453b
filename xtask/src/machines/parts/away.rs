//! `away`: the database crashes in the middle, is away for a while, and comes back.

use std::time::Duration;

use super::kill::{QUOTA, back_at, manners};
use crate::{
    machines::{
        best::pace,
        row::Row,
        trial::{Setup, Trial},
        wait::{pause, seconds},
    },
    run::Result,
};

const LIMIT: Duration = Duration::from_secs(300);

struct Size {
    items: usize,
    away: f64,
    lease: f64,
}

/// A lease ends while the database is away.
const FULL: Size = Size { items: 3_000, away: 60.0, lease: 30.0 };
const QUICK: Size = Size { items: 500, away: 8.0, lease: 4.0 };

pub(crate) fn run(setup: &mut Setup) -> Result<Vec<Row>> {
    if !setup.database.is_own() {
        println!("away: skipped, since the database is not one of its own");
        return Ok(Vec::new());
    }
    let size = if setup.is_quick { QUICK } else { FULL };
    let mut trial = Trial::new(setup, "away", manners(setup), size.items, size.lease)?;
    for _ in 0..4 {
        trial.start(setup)?;
    }
    pause(seconds(if setup.is_quick { 4.0 } else { 15.0 }));
    let gone = trial.time();
    setup.database.crash()?;
    pause(seconds(size.away));
    setup.database.start()?;
    let back = trial.time();
    trial.wait(Some(setup), LIMIT)?;
    let ended = trial.end(setup)?;
    let full = QUOTA.requests_a_second();
    let mut rows = ended.rows;
    let sent = ended.sends.iter().filter(|send| (gone..back).contains(&send.at)).count();
    rows.push(Row::figure("away, sent meanwhile", format!("{:.0} s, {sent}", back - gone)));
    rows.push(Row::figure("before, of full rate", format!("{:.2}", pace(&ended.sends, 1.0, gone) / full)));
    let again =
        back_at(&ended.sends, back, full).map_or(String::from("not seen"), |time| format!("{time:.1} s"));
    rows.push(Row::figure("full rate again after it is back", again));
    Ok(rows)
}
