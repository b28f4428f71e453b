//! `outbound check`: reads an input and reports everything that is wrong with it. Nothing is sent.

use std::pin::pin;

use futures::StreamExt;

use crate::{
    args::input::{Part, Source},
    exit::{ALL_SUCCEEDED, Stop},
    input::Reading,
    stdout::print,
    totals::Totals,
};

/// At most this many wrong lines are printed.
const SHOWN: u64 = 20;

pub(crate) async fn check(source: Source) -> Result<u8, Stop> {
    let Source { input, provider, base_url, forms } = source;
    let reading = Reading::new(&input, &forms, Part::default(), provider, base_url.as_deref()).await?;
    let mut lines = pin!(reading.lines().await?);
    let mut totals = Totals::default();
    let mut wrong = 0_u64;
    let mut example = None;
    while let Some(line) = lines.next().await {
        let checked = line.and_then(|line| line.check().map(|facts| totals.add(&line, &facts)));
        let Err(stop) = checked else { continue };
        wrong += 1;
        let stop = stop.to_string();
        // Some errors end with a right line to copy. It is printed once, at the end.
        let (what, right) = stop.split_once('\n').unwrap_or((&stop, ""));
        if wrong <= SHOWN {
            print(what)?;
        }
        if example.is_none() && !right.is_empty() {
            example = Some(right.to_owned());
        }
    }
    if wrong > SHOWN {
        print(format_args!("... and {} more wrong lines", wrong - SHOWN))?;
    }
    if let Some(example) = example {
        print(example)?;
    }
    print(&totals)?;
    match wrong {
        0 => Ok(ALL_SUCCEEDED),
        _ => Err(Stop::Input(format!("{}: {wrong} wrong, {} right", reading.name(), totals.all.lines))),
    }
}
