//! What can be said on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use outbound::Provider;

use self::input::{Forms, Part, Source};
use crate::output::Fsync;

mod control;
pub(crate) mod input;
mod sending;
mod telling;

pub(crate) use self::{
    control::{Ctl, CtlCommand, Status},
    sending::Sending,
    telling::{HowTold, Telling},
};

/// Sends a file of requests out and brings every answer back.
#[derive(Debug, Parser)]
#[command(name = "outbound", version, about, propagate_version = true, args_override_self = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send every request of a file, and write every answer to another.
    Run(Box<Run>),
    /// Read a file of requests and say everything that is wrong with it. Nothing is sent, no key is needed.
    Check(Box<Source>),
    /// Say what a run would send, cost and take. Nothing is sent, no key is needed.
    Plan(Box<Plan>),
    /// Run the simulated provider alone, until it is interrupted.
    Sim(Sim),
    /// Print a script that completes commands and options in a shell, such as `outbound completions bash > FILE`.
    Completions { shell: clap_complete::Shell },
    /// Say what the output of a run holds: what is answered, what failed, and what was sent without an answer.
    Status(Status),
    /// Ask something of the run that is at work on an output: pause, resume, other limits, an end.
    Ctl(Ctl),
}

#[derive(Debug, Args)]
#[command(after_help = format!("{}\n\n{EXIT_CODES}", input::INPUT))]
pub(crate) struct Run {
    /// The requests: JSON lines, a JSON array, plain text or CSV. `-` is standard input.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,

    #[command(flatten)]
    pub(crate) forms: Forms,

    #[command(flatten)]
    pub(crate) part: Part,

    /// Where the answers go, one JSON object a line, as they complete. `-` is standard output.
    /// [default: IN.results.jsonl; IN.simulated.jsonl with --simulate; `-` if the input is `-`]
    #[arg(short, long, value_name = "OUT.jsonl")]
    pub(crate) output: Option<PathBuf>,

    /// Begin anew. An output that holds something is kept under another name. [default: go on where the run before
    /// stopped: what has its answer is not sent again. The default output of --simulate is always replaced.]
    #[arg(long, alias = "force")]
    pub(crate) fresh: bool,

    /// Go on, and send again what failed.
    #[arg(long, conflicts_with = "fresh")]
    pub(crate) retry_failed: bool,

    /// How soon an answer is safe from a loss of power: after 200 ms (batch), at once (always), or when the system pleases
    /// (off). A crash of this command alone loses none at any setting. What is sent is written down, with a sync, before
    /// it leaves, unless this is off.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) fsync: Fsync,

    /// Send to a simulated provider inside this process instead: real HTTP over loopback, with limits and faults.
    #[arg(long, conflicts_with_all = ["base_url", "key_env", "provider"])]
    pub(crate) simulate: bool,

    /// Whose formats, limits and errors to expect: openai, anthropic, gemini, groq, ollama, vllm and others; http for plain
    /// HTTP. A wrong name lists them all.
    #[arg(long, value_name = "NAME", default_value = "openai", value_parser = provider)]
    pub(crate) provider: Provider,

    /// Address of the API, such as http://127.0.0.1:8000/v1. [default: the provider's own]
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Name of the environment variable that holds the key; several, with a comma between them, share the work, and the
    /// limits given here hold for each. A key itself is never given on the command line. [default: the provider's usual one; with --base-url
    /// none, since a key is for the address it was given for]
    #[arg(long, value_name = "NAME")]
    pub(crate) key_env: Option<String>,

    /// A file of certificates in PEM to trust beside those of the system: a private authority's.
    #[arg(long, value_name = "FILE", conflicts_with = "simulate")]
    pub(crate) ca: Option<PathBuf>,

    /// Requests in flight at once, at most; `auto` finds how many serve best, for servers that tell no limit. [default: 64]
    #[arg(long, value_name = "N|auto", value_parser = concurrency)]
    pub(crate) concurrency: Option<Concurrency>,

    /// Requests per minute, at most. [default: what the provider's headers say]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rpm: Option<u64>,

    /// Tokens per minute, input and output together, at most. [default: what the provider's headers say]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) tpm: Option<u64>,

    /// Time for one request in all: waits, attempts and all. Like 90s, 10m, 1h. [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,

    /// Time for one attempt, from the moment a connection is held to the last byte. [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) attempt_timeout: Option<Duration>,

    /// Charged attempts for one request, at most. [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_attempts: Option<u32>,

    /// Send nothing, and say what would be sent, what it would cost and how long it would take, as `plan` does.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// What the models cost, for --dry-run: see `outbound plan --help`.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,

    /// Say nothing on standard error but what went wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) sending: Sending,

    #[command(flatten)]
    pub(crate) telling: Telling,
}

impl From<Run> for Plan {
    fn from(run: Run) -> Self {
        let Run { input, forms, part, provider, base_url, rpm, tpm, prices, .. } = run;
        Self { source: Source { input, provider, base_url, forms }, part, rpm, tpm, prices }
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 all succeeded, 1 some failed, 2 usage, 3 bad input (the line is named), 4 authentication or spent quota,
5 stopped early and nothing failed (the same command goes on), 6 output not writable, 130 interrupted (once: what is under way is finished; twice: at once).";

#[derive(Debug, Args)]
#[command(after_help = format!("{}\n\n{}", input::INPUT, input::EXIT_CODES))]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) source: Source,

    #[command(flatten)]
    pub(crate) part: Part,

    /// Requests per minute that the run may make.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rpm: Option<u64>,

    /// Tokens per minute, input and output together, that the run may take.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) tpm: Option<u64>,

    /// What the models cost, in JSON: {"MODEL": {"input": 0.15, "output": 0.60}}, in dollars for a million tokens. The price
    /// of gpt-4o is that of gpt-4o-2024-08-06 too.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// Port to listen on, on 127.0.0.1. 0 takes a free one and prints it.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,

    /// The key it asks for. [default: any]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Requests per minute it grants.
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rpm: u64,

    /// Tokens per minute it grants.
    #[arg(long, value_name = "N", default_value_t = 600_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) tpm: u64,

    /// Misbehave: the faults of `run --simulate`.
    #[arg(long)]
    pub(crate) faults: bool,

    /// Seed of every draw.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Behave as the `[server]` of a scenario says: a file in TOML, such as those in crates/simulator/scenarios.
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["rpm", "tpm", "faults", "seed"])]
    pub(crate) scenario: Option<PathBuf>,

    /// Where to write every send it saw, one JSON object a line, when it ends.
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
}

/// How many requests to have in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Fixed(usize),
    /// As many as serve best.
    Auto,
}

impl Concurrency {
    /// So many are tried at the most.
    pub(crate) const MOST: usize = 1_024;
}

/// Reads `auto`, or a number from 1 to 100,000.
fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Concurrency::Auto),
        Ok(requests @ 1..=100_000) => Ok(Concurrency::Fixed(requests)),
        _ => Err(String::from("it is a number from 1 to 100000, or auto")),
    }
}

/// Reads the name of a provider.
fn provider(name: &str) -> Result<Provider, String> {
    Provider::named(name).ok_or_else(|| {
        let names: Vec<_> = Provider::ALL.iter().map(Provider::name).collect();
        format!("there is none of that name; the names are {}", names.join(", "))
    })
}

/// Reads `250ms`, `90s`, `10m`, `2h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        unit => return Err(format!("`{unit}` is no unit of time; use ms, s, m or h")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("`{digits}` is no number"))?;
    match Duration::try_from_secs_f64(number * unit) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(String::from("a time is more than zero, and no longer than some centuries")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn concurrency_is_a_number_or_auto() {
        assert_eq!(concurrency("auto"), Ok(Concurrency::Auto));
        assert_eq!(concurrency("100000"), Ok(Concurrency::Fixed(100_000)));
        for wrong in ["0", "100001", "-1", "", "AUTO"] {
            assert!(concurrency(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_provider_lists_the_right_ones() {
        assert_eq!(provider("gemini"), Ok(Provider::gemini()));
        let error = provider("opneai").expect_err("a typing error");
        assert!(error.contains("openai, ") && error.contains("ollama"), "{error}");
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "0s", "-1s", "1d", "NaN", "1e300h", "s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
