//! `outbound plan`: what a run would send, cost and take. Nothing is sent.

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
    check::print,
    exit::{ALL_SUCCEEDED, Stop},
    input::Reading,
    tally::{Count, Tally},
};

/// So many models without a price are named.
const NAMED: usize = 5;

pub(crate) async fn plan(arguments: Plan) -> Result<u8, Stop> {
    let Plan { source, part, rpm, tpm, prices } = arguments;
    let prices = prices.as_deref().map(read_prices).transpose()?;
    let (provider, base_url) = (source.provider, source.base_url.as_deref());
    let reading = Reading::new(&source.input, &source.forms, part, provider, base_url).await?;
    let mut lines = pin!(reading.lines().await?);
    let mut tally = Tally::default();
    let mut cost = Cost::default();
    while let Some(line) = lines.next().await {
        let line = line?;
        let facts = line.check()?;
        tally.add(&line, &facts);
        if let Some(prices) = &prices {
            cost.add(&facts, prices);
        }
    }
    print(&tally)?;
    if tally.all.unbounded > 0 {
        print(format_args!(
            "       {} lines do not bound their answers: theirs are counted as 1024 tokens, a guess",
            tally.all.unbounded
        ))?;
    }
    match prices {
        Some(_) => print(&cost)?,
        None => print("cost   unknown: --prices FILE says what the models cost")?,
    }
    print(Time { limits: Limits { rpm, tpm }, tally: &tally })?;
    Ok(ALL_SUCCEEDED)
}

/// Reads a table of prices.
pub(crate) fn read_prices(path: &Path) -> Result<Prices, Stop> {
    let wrong = |why: &dyn fmt::Display| Stop::Usage(format!("--prices {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    Prices::parse(&text).map_err(|error| wrong(&error))
}

/// What the lines whose models have a price cost.
#[derive(Default)]
struct Cost {
    /// If no answer had a token.
    input: Money,
    /// If every answer were as long as it may be.
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

/// The limits of a minute.
#[derive(Debug, Clone, Copy)]
struct Limits {
    rpm: Option<u64>,
    tpm: Option<u64>,
}

impl Limits {
    /// The least time for these lines: if no answer had a token, and if every answer were as long as it may be.
    fn time(&self, count: Count) -> (Duration, Duration) {
        let requests = time(count.lines, self.rpm);
        let [input, all] =
            [count.input, count.input.saturating_add(count.output)].map(|tokens| time(tokens, self.tpm));
        (requests.max(input), requests.max(all))
    }
}

/// How long an amount takes at so much a minute.
fn time(amount: u64, per_minute: Option<u64>) -> Duration {
    let seconds = per_minute.map_or(0.0, |per_minute| amount as f64 * 60.0 / per_minute as f64);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// How long a run takes at the least.
struct Time<'a> {
    limits: Limits,
    tally: &'a Tally,
}

impl fmt::Display for Time<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { rpm, tpm } = self.limits;
        if rpm.is_none() && tpm.is_none() {
            return f.write_str(
                "time   unknown: the limits are. --rpm and --tpm say what your provider grants a minute; a run without \
                 them adopts what the provider's headers tell",
            );
        }
        let (least, most) = self.limits.time(self.tally.all);
        write!(f, "time   {}", Span((least, most)))?;
        let mut sources = String::new();
        if let Some(rpm) = rpm {
            write!(sources, "{rpm} requests")?;
        }
        if let Some(tpm) = tpm {
            write!(sources, "{}{tpm} tokens", if sources.is_empty() { "" } else { " and " })?;
        }
        write!(f, " at {sources} a minute, which all models share")?;
        let models: Vec<_> = self.tally.models().collect();
        if models.len() > 1 {
            for (name, count) in models {
                write!(f, "\n       {name} alone: {}", Span(self.limits.time(count)))?;
            }
        }
        if tpm.is_none() {
            f.write_str("\n       The tokens may take longer: --tpm says how many are granted.")?;
        } else if least != most {
            f.write_str("\n       The first time is for empty answers, the second for the longest ones.")?;
        }
        write!(
            f,
            "\n       It grows with retries, slow answers, a low --concurrency, and lower limits of the provider's own."
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
