//! More options of `run` for sending: keys, fallbacks, timeouts, a budget, and fewer calls.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{duration, heading};

#[derive(Debug, Args)]
pub(crate) struct Sending {
    /// A file with the key; or with several keys, one on each line.
    #[arg(long, help_heading = heading::SERVER, value_name = "FILE", conflicts_with_all = ["key_env", "simulate"])]
    pub(crate) key_file: Option<PathBuf>,

    /// A command that prints the key; or several keys, one on each line. `sh -c` runs it.
    #[arg(long, help_heading = heading::SERVER, value_name = "COMMAND", conflicts_with_all = ["key_env", "key_file", "simulate"])]
    pub(crate) key_command: Option<String>,

    /// Another model to try if the model of the line refuses, fails or is overloaded.
    ///
    /// Give it several times for several models, which are tried in that order. A `fallback` in a line is used instead of it.
    #[arg(long, help_heading = heading::RETRIES, value_name = "MODEL")]
    pub(crate) fallback: Vec<String>,

    /// Time to open a connection. [default: 10s]
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Time to the first item of a stream. [default: 60s]
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) first_item_timeout: Option<Duration>,

    /// Time between two items of a stream. [default: 60s]
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Time to reach the server for the first time. After it the run ends. [default: 30s]
    ///
    /// If the server was reached once and is down later, the run waits for it, up to the deadlines of the requests.
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) unreachable_timeout: Option<Duration>,

    /// Go on even if the first 20 requests all fail with the same refusal. [default: the run stops]
    #[arg(long, help_heading = heading::RETRIES)]
    pub(crate) keep_going: bool,

    /// Do not send a request again if the server may have answered it already, at a cost.
    ///
    /// That is so after a timeout and after a broken connection. The request then counts as failed.
    #[arg(long, help_heading = heading::RETRIES)]
    pub(crate) no_retry_ambiguous: bool,

    /// Send a request a second time if it takes longer than this percentage of the others. [default: off]
    ///
    /// The first answer is taken. A request is sent twice only if that does not cost twice.
    #[arg(long, help_heading = heading::RETRIES, value_name = "PERCENTILE", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) hedge: Option<u8>,

    /// Send equal lines once, and give each of them the answer. [default: each is sent]
    #[arg(long, help_heading = heading::RETRIES)]
    pub(crate) coalesce: bool,

    /// Keep answers in this folder, and take them from there for equal requests. [default: off]
    #[arg(long, help_heading = heading::RETRIES, value_name = "FOLDER")]
    pub(crate) cache: Option<PathBuf>,

    /// Dollars that this run can spend, at most. Needs --prices.
    ///
    /// A request in flight counts with the most that it can cost. Earlier runs do not count: a run that goes on has the whole
    /// budget again. With --store it is for the whole batch, with all machines and all runs; the number given last counts.
    #[arg(long, help_heading = heading::MONEY, value_name = "DOLLARS", requires = "prices", value_parser = dollars)]
    pub(crate) budget: Option<f64>,
}

/// Reads `5`, `0.5`, `5usd`, `$5`.
fn dollars(text: &str) -> Result<f64, String> {
    let number = text.trim_start_matches('$').trim_end_matches("usd").trim();
    match number.parse::<f64>() {
        Ok(dollars) if dollars > 0.0 && dollars.is_finite() => Ok(dollars),
        _ => Err(String::from("give a number of dollars, more than zero, such as 5 or 0.50")),
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
