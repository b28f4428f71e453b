//! `outbound plan`: estimates the tokens, the cost and the time of a run. Nothing is sent.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    path::Path,
    pin::pin,
    time::Duration,
};

use futures::StreamExt;
use outbound::{Money, Prices, Usage, provider::RequestFacts};

use crate::{
    args::Plan,
    exit::{ALL_SUCCEEDED, Stop},
    input::Reading,
    stdout::print,
    totals::{Count, Totals},
};

/// At most this many models without a price are named.
const NAMED: usize = 5;

pub(crate) async fn plan(arguments: Plan) -> Result<u8, Stop> {
    let Plan { source, part, rpm, tpm, prices } = arguments;
    let prices = prices.as_deref().map(read_prices).transpose()?;
    let (provider, base_url) = (source.provider, source.base_url.as_deref());
    let reading = Reading::new(&source.input, &source.forms, part, provider, base_url).await?;
    let mut lines = pin!(reading.lines().await?);
    let mut totals = Totals::default();
    let mut cost = Cost::default();
    while let Some(line) = lines.next().await {
        let line = line?;
        let facts = line.check()?;
        totals.add(&line, &facts);
        if let Some(prices) = &prices {
            cost.add(&facts, prices);
        }
    }
    print(&totals)?;
    if totals.all.unbounded > 0 {
        print(format_args!(
            "       lines without a maximum for their answer: {}, each estimated as 1024 tokens",
            totals.all.unbounded
        ))?;
    }
    match prices {
        Some(_) => print(&cost)?,
        None => print("cost   unknown: give the prices of the models with --prices FILE")?,
    }
    print(Time { limits: Limits { rpm, tpm }, totals: &totals })?;
    Ok(ALL_SUCCEEDED)
}

/// Reads a file of prices.
pub(crate) fn read_prices(path: &Path) -> Result<Prices, Stop> {
    let wrong = |why: &dyn fmt::Display| Stop::Usage(format!("--prices {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    Prices::parse(&text).map_err(|error| wrong(&error))
}

/// The cost of the lines whose models have a price.
#[derive(Default)]
struct Cost {
    /// The cost if every answer is empty.
    input: Money,
    /// The cost if every answer is as long as it can be.
    most: Money,
    lines: u64,
    lines_without: u64,
    /// Some of the models that have no price.
    models_without: BTreeSet<String>,
}

impl Cost {
    fn add(&mut self, facts: &RequestFacts, prices: &Prices) {
        self.lines += 1;
        let model = facts.model.as_deref();
        let Some(price) = model.and_then(|model| prices.get(model)) else {
            self.lines_without += 1;
            if self.models_without.len() < NAMED {
                self.models_without.insert(model.unwrap_or("no model named").to_owned());
            }
            return;
        };
        let mut usage = Usage::default();
        usage.input = facts.estimate.input;
        self.input += price.of(usage);
        usage.output = facts.estimate.output;
        self.most += price.of(usage);
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Vec::from_iter(self.models_without.iter().map(String::as_str)).join(", ");
        if self.lines > 0 && self.lines_without == self.lines {
            return write!(f, "cost   unknown: no model has a price: {names}");
        }
        write!(f, "cost   from {} (the input alone) to {} (the longest answers)", self.input, self.most)?;
        if self.lines_without > 0 {
            write!(f, "\n       without {} lines whose models have no price: {names}", self.lines_without)?;
        }
        Ok(())
    }
}

/// The limits for a minute.
#[derive(Debug, Clone, Copy)]
struct Limits {
    rpm: Option<u64>,
    tpm: Option<u64>,
}

impl Limits {
    /// The shortest time for these lines: with empty answers, and with answers as long as they can be.
    fn time(&self, count: Count) -> (Duration, Duration) {
        let requests = time(count.lines, self.rpm);
        let [input, all] =
            [count.input, count.input.saturating_add(count.output)].map(|tokens| time(tokens, self.tpm));
        (requests.max(input), requests.max(all))
    }
}

/// The time for an amount at a rate for each minute.
fn time(amount: u64, per_minute: Option<u64>) -> Duration {
    let seconds = per_minute.map_or(0.0, |per_minute| amount as f64 * 60.0 / per_minute as f64);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// The shortest time that a run takes.
struct Time<'a> {
    limits: Limits,
    totals: &'a Totals,
}

impl fmt::Display for Time<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { rpm, tpm } = self.limits;
        if rpm.is_none() && tpm.is_none() {
            return f.write_str(
                "time   unknown: give the limits of your provider for a minute with --rpm and --tpm. A run without these options \
                 takes the limits from the headers of the provider",
            );
        }
        let (least, most) = self.limits.time(self.totals.all);
        write!(f, "time   {}", Span((least, most)))?;
        let mut sources = String::new();
        if let Some(rpm) = rpm {
            write!(sources, "{rpm} requests")?;
        }
        if let Some(tpm) = tpm {
            write!(sources, "{}{tpm} tokens", if sources.is_empty() { "" } else { " and " })?;
        }
        write!(f, " at {sources} a minute, which all models share")?;
        let models: Vec<_> = self.totals.models().collect();
        if models.len() > 1 {
            for (name, count) in models {
                write!(f, "\n       {name} alone: {}", Span(self.limits.time(count)))?;
            }
        }
        if tpm.is_none() {
            f.write_str("\n       The limit on tokens may take longer: give it with --tpm.")?;
        } else if least != most {
            f.write_str("\n       The first time is for empty answers, the second for the longest ones.")?;
        }
        write!(
            f,
            "\n       A run takes longer with retries, slow answers, a low --concurrency, or lower limits of the provider."
        )
    }
}

/// Two times, or one where they are the same.
struct Span((Duration, Duration));

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.0;
        match (shown(least), shown(most)) {
            (least, most) if least == most => write!(f, "at least {least}"),
            (least, most) => write!(f, "at least {least} to {most}"),
        }
    }
}

/// `45 s`, `12 min 5 s`, `3 h 20 min`, rounded up.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcest_limit_decides() {
        let count = Count { lines: 600, input: 6_000, output: 120_000, unbounded: 0 };
        let time = |rpm, tpm| Limits { rpm, tpm }.time(count);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(time(Some(100), None), (minutes(6), minutes(6)));
        assert_eq!(time(None, Some(6_000)), (minutes(1), minutes(21)));
        assert_eq!(time(Some(300), Some(6_000)), (minutes(2), minutes(21)));
        assert_eq!(time(Some(1), Some(6_000)), (minutes(600), minutes(600)));
        assert_eq!(super::time(u64::MAX, Some(1)), Duration::MAX);
    }

    #[test]
    fn times_are_shown_in_two_units() {
        assert_eq!(shown(Duration::ZERO), "0 s");
        assert_eq!(shown(Duration::from_millis(44_001)), "45 s");
        assert_eq!(shown(Duration::from_secs(725)), "12 min 5 s");
        assert_eq!(shown(Duration::from_secs(12_000)), "3 h 20 min");
        shown(Duration::MAX);
    }
}
