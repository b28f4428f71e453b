//! `outbound check`: reads an input and says everything that is wrong with it. Nothing is sent.

use std::{
    fmt::Display,
    io::{self, Write},
    pin::pin,
};

use futures::StreamExt;

use crate::{
    args::input::{Part, Source},
    exit::{ALL_SUCCEEDED, Stop},
    input::Reading,
    tally::Tally,
};

/// So many wrong lines are shown.
const SHOWN: u64 = 20;

pub(crate) async fn check(source: Source) -> Result<u8, Stop> {
    let Source { input, provider, base_url, forms } = source;
    let reading = Reading::new(&input, &forms, Part::default(), provider, base_url.as_deref()).await?;
    let mut lines = pin!(reading.lines().await?);
    let mut tally = Tally::default();
    let mut wrong = 0_u64;
    let mut example = None;
    while let Some(line) = lines.next().await {
        let checked = line.and_then(|line| line.check().map(|facts| tally.add(&line, &facts)));
        let Err(stop) = checked else { continue };
        wrong += 1;
        let stop = stop.to_string();
        // A right line to copy follows the first error that has one; once is enough.
        let (what, right) = stop.split_once('\n').unwrap_or((&stop, ""));
        if wrong <= SHOWN {
            print(what)?;
        }
        if example.is_none() && !right.is_empty() {
            example = Some(right.to_owned());
        }
    }
    if wrong > SHOWN {
        print(format_args!("... and {} wrong lines more", wrong - SHOWN))?;
    }
    if let Some(example) = example {
        print(example)?;
    }
    print(&tally)?;
    match wrong {
        0 => Ok(ALL_SUCCEEDED),
        _ => Err(Stop::Input(format!("{}: {wrong} wrong, {} right", reading.name(), tally.all.lines))),
    }
}

/// Writes a line of the report, which is what was asked for.
pub(crate) fn print(text: impl Display) -> Result<(), Stop> {
    writeln!(io::stdout(), "{text}").map_err(|error| Stop::Output(format!("standard output: {error}")))
}
