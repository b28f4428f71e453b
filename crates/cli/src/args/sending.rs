//! How a run sends, beside the limits: keys, other ways, times, money, and calls that are saved.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{duration, heading};

#[derive(Debug, Args)]
pub(crate) struct Sending {
    /// A file that holds the key, or several, one a line.
    #[arg(long, help_heading = heading::SERVER, value_name = "FILE", conflicts_with_all = ["key_env", "simulate"])]
    pub(crate) key_file: Option<PathBuf>,

    /// A command that prints the key, or several, one a line. It is run by `sh -c`.
    #[arg(long, help_heading = heading::SERVER, value_name = "COMMAND", conflicts_with_all = ["key_env", "key_file", "simulate"])]
    pub(crate) key_command: Option<String>,

    /// A model to ask where the line's own refuses, fails or is overloaded.
    ///
    /// May be given several times; they are tried in this order. A line's own `fallback` goes before it.
    #[arg(long, help_heading = heading::RETRIES, value_name = "MODEL")]
    pub(crate) fallback: Vec<String>,

    /// Time to connect. [default: 10s]
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Time to the first item of a stream. [default: 60s]
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) first_item_timeout: Option<Duration>,

    /// Time between two items of a stream. [default: 60s]
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) idle_timeout: Option<Duration>,

    /// A run that has not reached the server in this time ends. [default: 30s]
    ///
    /// A server that was reached once and is down later is waited for, up to the deadlines.
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) unreachable_timeout: Option<Duration>,

    /// Go on even if the first 20 outcomes are all the same refusal. [default: the run stops]
    #[arg(long, help_heading = heading::RETRIES)]
    pub(crate) keep_going: bool,

    /// Do not send again what may have been answered, and paid for, already.
    ///
    /// That is so after a timeout or a connection that broke. Such a request then counts as failed.
    #[arg(long, help_heading = heading::RETRIES)]
    pub(crate) no_retry_ambiguous: bool,

    /// Send a call a second time where it takes longer than this share of the others, in per cent. [default: off]
    ///
    /// What comes first is taken. Only calls that are not paid for twice by that are hedged.
    #[arg(long, help_heading = heading::RETRIES, value_name = "PERCENTILE", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) hedge: Option<u8>,

    /// Lines that send the same share one call. [default: each is sent]
    #[arg(long, help_heading = heading::RETRIES)]
    pub(crate) coalesce: bool,

    /// Keep answers in this folder, and take them from there when the same is asked again. [default: off]
    #[arg(long, help_heading = heading::RETRIES, value_name = "FOLDER")]
    pub(crate) cache: Option<PathBuf>,

    /// Spend no more than this many dollars in this run. Needs --prices.
    ///
    /// What is under way counts with the most that it may cost. What earlier runs spent does not count: a run that goes on has
    /// the whole budget again.
    #[arg(long, help_heading = heading::MONEY, value_name = "DOLLARS", requires = "prices", value_parser = dollars)]
    pub(crate) budget: Option<f64>,
}

/// Reads `5`, `0.5`, `5usd`, `$5`.
fn dollars(text: &str) -> Result<f64, String> {
    let number = text.trim_start_matches('$').trim_end_matches("usd").trim();
    match number.parse::<f64>() {
        Ok(dollars) if dollars > 0.0 && dollars.is_finite() => Ok(dollars),
        _ => Err(String::from("it is a number of dollars, more than zero, such as 5 or 0.50")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_in_dollars() {
        for (text, is) in [("5", 5.0), ("0.50", 0.5), ("$3", 3.0), ("5usd", 5.0), ("5 usd", 5.0)] {
            assert_eq!(dollars(text), Ok(is));
        }
        for wrong in ["", "0", "-1", "NaN", "inf", "five", "5eur"] {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
    }
}
