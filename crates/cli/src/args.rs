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
#[command(name = "outbound", version, about, after_help = BEGIN, propagate_version = true, args_override_self = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const BEGIN: &str = "\
Begin with a trial that needs no key, then look before you pay, then send:
  outbound run --simulate FILE
  outbound check FILE
  outbound plan FILE --prices PRICES.json
  outbound run FILE -o ANSWERS.jsonl
`outbound run -h` lists the options, `outbound run --help` says more of each.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send every request of a file, and write every answer to another.
    Run(Box<Run>),
    /// Read a file of requests and say everything that is wrong with it. Nothing is sent.
    Check(Box<Source>),
    /// Say what a run would send, cost and take. Nothing is sent.
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

/// The headings of the help of `run`, in its order.
mod heading {
    pub(super) const INPUT: &str = "Input";
    pub(super) const OUTPUT: &str = "Output, and going on";
    pub(super) const SERVER: &str = "Server and keys";
    pub(super) const LIMITS: &str = "Limits and times";
    pub(super) const RETRIES: &str = "Retries and saved calls";
    pub(super) const MONEY: &str = "Money";
    pub(super) const SEEING: &str = "Seeing";
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{}\n\n{GOING_ON}\n\n{OPTIONS_FILE}\n\n{EXIT_CODES}", input::INPUT))]
pub(crate) struct Run {
    /// The requests: JSON lines, a JSON array, plain text or CSV. `-` is standard input.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,

    #[command(flatten)]
    pub(crate) forms: Forms,

    #[command(flatten)]
    pub(crate) part: Part,

    /// Where the answers go. [default: IN.results.jsonl, without IN's own ending]
    ///
    /// One JSON object a line, in the order in which they complete: `custom_id` says which request it belongs to. `-` is
    /// standard output, and the default if the input is `-`. With --simulate the default is IN.simulated.jsonl.
    #[arg(short, long, help_heading = heading::OUTPUT, value_name = "OUT.jsonl")]
    pub(crate) output: Option<PathBuf>,

    /// Begin anew, and pay anew. [default: go on where the run before stopped]
    ///
    /// An output that holds something is kept as OUT.jsonl.1, OUT.jsonl.2 and so on. Without this, what has its answer is
    /// not sent again. The default output of --simulate is always replaced.
    #[arg(long, alias = "force", help_heading = heading::OUTPUT)]
    pub(crate) fresh: bool,

    /// Go on, and send again what failed.
    ///
    /// Without this, a request that failed for good is not sent again. A request that a refused key or a spent quota
    /// stopped is sent again in any case.
    #[arg(long, conflicts_with = "fresh", help_heading = heading::OUTPUT)]
    pub(crate) retry_failed: bool,

    /// How soon an answer is safe from a loss of power.
    ///
    /// A crash of this command alone loses no answer at any setting. What is sent is written down before it leaves, so
    /// that a later run knows what may have been paid for; only `off` does not wait for the disk.
    #[arg(long, help_heading = heading::OUTPUT, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) fsync: Fsync,

    /// Send to a simulated provider inside this process: a trial without a key.
    ///
    /// Real HTTP over loopback, with limits and faults.
    #[arg(long, help_heading = heading::SERVER, conflicts_with_all = ["base_url", "key_env", "provider"])]
    pub(crate) simulate: bool,

    /// Whose formats, limits and errors to expect: openai, anthropic, gemini, ollama, ...
    ///
    /// `http` is for plain HTTP. A wrong name lists them all.
    #[arg(long, help_heading = heading::SERVER, value_name = "NAME", default_value = "openai", value_parser = provider)]
    pub(crate) provider: Provider,

    /// Address of the API, such as http://127.0.0.1:8000/v1. [default: the provider's own]
    #[arg(long, help_heading = heading::SERVER, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Name of the environment variable that holds the key. [default: the provider's usual one]
    ///
    /// Several names, with a comma between them, share the work, and the limits given here hold for each. A key itself is
    /// never given on the command line. With --base-url the default is no key: a key is for the address that it was given
    /// for.
    #[arg(long, help_heading = heading::SERVER, value_name = "NAME")]
    pub(crate) key_env: Option<String>,

    /// A file of certificates (PEM) to trust beside those of the system.
    #[arg(long, help_heading = heading::SERVER, value_name = "FILE", conflicts_with = "simulate")]
    pub(crate) ca: Option<PathBuf>,

    /// Requests in flight at once, at most. [default: 64]
    ///
    /// `auto` finds how many serve best, for servers that tell no limit.
    #[arg(long, help_heading = heading::LIMITS, value_name = "N|auto", value_parser = concurrency)]
    pub(crate) concurrency: Option<Concurrency>,

    /// Requests per minute, at most. [default: what the provider's headers say]
    #[arg(long, help_heading = heading::LIMITS, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rpm: Option<u64>,

    /// Tokens per minute, input and output together, at most. [default: what the provider's headers say]
    #[arg(long, help_heading = heading::LIMITS, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) tpm: Option<u64>,

    /// Time for one request in all, such as 90s, 10m, 1h. [default: 30m]
    ///
    /// Its attempts and the waits between them count; the wait for its first turn does not.
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,

    /// Time for one attempt, from the moment a connection is held to the last byte. [default: 5m]
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) attempt_timeout: Option<Duration>,

    /// Attempts for one request, at most. [default: 5]
    ///
    /// What surely cost nothing, such as a refusal for the rate, is not counted.
    #[arg(long, help_heading = heading::RETRIES, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_attempts: Option<u32>,

    /// Send nothing. Say what all lines would cost and how long they would take, as `plan` does.
    #[arg(long, help_heading = heading::MONEY)]
    pub(crate) dry_run: bool,

    /// What the models cost: a file, described in `outbound plan --help`.
    #[arg(long, help_heading = heading::MONEY, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,

    /// Say nothing on standard error but what went wrong.
    #[arg(short, long, help_heading = heading::SEEING)]
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

const GOING_ON: &str = "\
A run that stopped goes on when the same command is given again. Beside OUT.jsonl it leaves:
  OUT.jsonl.state/    what was sent; it goes with the last success. Do not delete it before
  OUT.failed.jsonl    the lines that failed, as they stand in the input
  OUT.jsonl.1         what stood in OUT.jsonl before --fresh
Ctrl-C once: what is under way is finished. Twice: the run stops at once, and what was under way may be paid for.";

const OPTIONS_FILE: &str = "\
Options may stand in outbound.toml in this folder, under [run], as `rpm = 500`, or in the environment, as OUTBOUND_RPM=500.
The command line goes before the environment, and that before the file.";

const EXIT_CODES: &str = "\
Exit codes:
  0    all succeeded
  1    some failed: OUT.failed.jsonl has them
  2    an option, or the environment, is wrong
  3    the input is wrong: the line is named
  4    the key is refused, or the quota is spent: mend that, then the same command
  5    stopped early, nothing failed: the same command goes on
  6    the output cannot be written, or is that of another input
  130  interrupted: the same command goes on";

#[derive(Debug, Args)]
#[command(after_help = input::EXIT_CODES, after_long_help = format!("{}\n\n{}", input::INPUT, input::EXIT_CODES))]
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

    /// A file that says what the models cost, in dollars for a million tokens.
    ///
    /// In JSON: {"MODEL": {"input": 0.15, "output": 0.60}}. The price of gpt-4o is that of gpt-4o-2024-08-06 too.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// Port to listen on, on 127.0.0.1. 0 takes a free one; the address is printed.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,

    /// The key it asks for; any other is refused. [default: none is asked for]
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

    /// Seed of every draw: the same seed, the same delays and faults.
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

    /// Each option of `run` stands under a heading, and what `-h` says of it is short.
    #[test]
    fn the_short_help_of_run_is_short() {
        let mut command = Arguments::command();
        command.build();
        let run = command.find_subcommand_mut("run").expect("there is one");
        let own = run.get_opts().filter(|option| !["help", "version"].contains(&option.get_id().as_str()));
        for option in own {
            let name = option.get_long().expect("a long name");
            assert!(option.get_help_heading().is_some(), "--{name} has no heading");
            let help = option.get_help().expect("a help").to_string();
            assert!(help.chars().count() <= 130, "--{name}: {help}");
        }
        let short = run.render_help().to_string();
        assert!(short.contains("Money:") && !short.contains("cost_projected"), "{short}");
        let long = run.render_long_help().to_string();
        for said in ["cost_projected", "OUT.failed.jsonl", "outbound.toml", "  130  "] {
            assert!(long.contains(said), "{said}: {long}");
        }
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
