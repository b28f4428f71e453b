//! How a run sends, beside the limits: keys, other ways, times, money, and calls that are saved.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::duration;

#[derive(Debug, Args)]
pub(crate) struct Sending {
    /// A file that holds the key, or several, one a line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_env", "simulate"])]
    pub(crate) key_file: Option<PathBuf>,

    /// A command that prints the key, or several, one a line. It is run by `sh -c`.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["key_env", "key_file", "simulate"])]
    pub(crate) key_command: Option<String>,

    /// A model to ask where the line's own refuses, fails or is overloaded. May be given several times; they are tried in
    /// this order. A line's own `fallback` goes before it.
    #[arg(long, value_name = "MODEL")]
    pub(crate) fallback: Vec<String>,

    /// Time to connect. [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Time to the first item of a stream. [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) first_item_timeout: Option<Duration>,

    /// Time between two items of a stream. [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Time in which the server has to be reached once. After it a run that never reached it ends. [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) unreachable_timeout: Option<Duration>,

    /// Go on where the first 20 outcomes are all the same refusal. [default: the run stops, and the rest is not sent]
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Do not send again what may have been answered already, after a timeout or a connection that broke.
    #[arg(long)]
    pub(crate) no_retry_ambiguous: bool,

    /// Send a call a second time where it takes longer than this share of the others, in per cent, and take what comes first.
    /// Only what is not paid for twice by that. [default: off]
    #[arg(long, value_name = "PERCENTILE", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) hedge: Option<u8>,

    /// Lines that send the same share one call. [default: each is sent]
    #[arg(long)]
    pub(crate) coalesce: bool,

    /// Keep answers in this folder, and take them from there where the same is asked again. [default: off]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cache: Option<PathBuf>,

    /// Spend no more than this many dollars. Needs --prices. What is under way counts with the most that it may cost.
    #[arg(long, value_name = "DOLLARS", requires = "prices", value_parser = dollars)]
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
