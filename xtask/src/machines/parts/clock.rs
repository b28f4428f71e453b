//! `clock`: the database's clock jumps at random, further than a lease, and each process has a date of its own.

use std::{process::Command, time::Duration};

use super::kill::manners;
use crate::{
    machines::{
        draw::Draw,
        row::Row,
        trial::{Setup, Trial},
        wait::pause,
    },
    run::{Result, succeeds},
};

const LIMIT: Duration = Duration::from_secs(240);
const LEASE: f64 = 6.0;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let (items, jumps) = if setup.is_quick { (500, 5) } else { (2_500, 25) };
    let mut trial = Trial::new(setup, "clock", manners(setup), items, LEASE)?;
    let has_faketime = succeeds("faketime", &["--version"]);
    if !has_faketime {
        println!("clock: no faketime here, so that only the database's clock is moved");
    }
    for worker in 0_u32..4 {
        let command = if has_faketime {
            let mut command = Command::new("faketime");
            command.args(["-f", &format!("+{}h", worker * 31)]).arg(&setup.outbound);
            setup.inside(command)
        } else {
            setup.command()
        };
        let command = trial.work_on(command);
        trial.start_as(command)?;
    }
    let mut draw = Draw::new(setup.seed);
    let (mut least, mut most) = (0_i64, 0_i64);
    pause(Duration::from_secs(2));
    for _ in 0..jumps {
        // From half a minute back to a minute ahead.
        let shift = i64::try_from(draw.below(90))? - 30;
        (least, most) = (least.min(shift), most.max(shift));
        setup.database.ask(&trial.database, &clock(shift))?;
        pause(Duration::from_millis(1_500));
    }
    setup.database.ask(&trial.database, &clock(0))?;
    trial.wait(Some(setup), LIMIT)?;
    let ended = trial.end(setup)?;
    let mut rows = ended.rows;
    rows.push(Row::figure("jumps of the clock", format!("{jumps}, {least} to {most} s")));
    Ok(rows)
}

/// The only clock that the store has, moved by so many seconds.
fn clock(shift: i64) -> String {
    format!(
        "create or replace function outbound.outbound_clock() returns timestamptz language sql volatile as \
         'select clock_timestamp() + interval ''{shift} seconds'''"
    )
}
