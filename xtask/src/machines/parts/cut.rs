//! `cut`: connections to the database are cut at random, pieces are late, and replies are swallowed.

use std::{sync::atomic::Ordering, time::Duration};

use super::kill::manners;
use crate::{
    machines::{
        proxy::{Proxy, Target},
        row::Row,
        trial::{Setup, Trial},
    },
    run::Result,
};

/// Longer than one attempt of a call to the database may take.
const SILENCE: Duration = Duration::from_secs(17);
const LIMIT: Duration = Duration::from_secs(240);

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let items = if setup.is_quick { 500 } else { 2_500 };
    let mut trial = Trial::new(setup, "cut", manners(setup), items, 20.0)?;
    let proxy = Proxy::with_trouble(Target::Tcp(setup.database.server().to_owned()), setup.seed, SILENCE)?;
    let direct = trial.store.clone();
    trial.store = setup.database.address_through(&proxy.address, &trial.database);
    for _ in 0..4 {
        trial.start(setup)?;
    }
    trial.wait(Some(setup), LIMIT)?;
    trial.store = direct;
    let ended = trial.end(setup)?;
    let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let counts = &proxy.counts;
    let all = [&counts.cut, &counts.swallowed, &counts.silent, &counts.delayed].map(count);
    let mut rows = ended.rows;
    let measured = format!("{} {} {} {}", all[0], all[1], all[2], all[3]);
    rows.push(Row::figure("cut, replies swallowed, silent, late", measured));
    rows.push(Row::must("connections that were cut", "> 5", all[0] + all[1], all[0] + all[1] > 5));
    Ok(rows)
}
