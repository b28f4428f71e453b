//! The command line: its commands, options and help texts.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand};
use outbound::Provider;

use self::input::{Forms, Part, Source};
use crate::output::Fsync;

mod control;
pub(crate) mod input;
mod reporting;
mod sending;
mod several;
mod sim;

pub(crate) use self::{
    control::{Ctl, CtlCommand, Status},
    reporting::{ProgressFormat, Reporting},
    sending::Sending,
    several::{Batch, Export, Several},
    sim::Sim,
};

/// Send a file of requests, and bring every answer back.
#[derive(Debug, Parser)]
#[command(name = "outbound", version, after_help = BEGIN, propagate_version = true, args_override_self = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const BEGIN: &str = "\
Start with a trial that needs no key, see what a run would cost, then send:
  outbound run --simulate FILE
  outbound check FILE
  outbound plan FILE --prices PRICES.json
  outbound run FILE -o ANSWERS.jsonl
`outbound run -h` lists the options, and `outbound run --help` explains each.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send every request of a file, and write every answer to another file.
    Run(Box<Run>),
    /// Read a file of requests and report everything that is wrong with it. Nothing is sent.
    Check(Box<Source>),
    /// Estimate the tokens, the cost and the time of a run. Nothing is sent.
    Plan(Box<Plan>),
    /// Run only the simulated provider, until it is interrupted.
    Sim(Sim),
    /// Print a script with which a shell completes commands and options: `outbound completions bash > FILE`.
    Completions { shell: clap_complete::Shell },
    /// Show what the output of a run holds: what is answered, what failed, and what was sent without an answer.
    Status(Status),
    /// Control a run while it works: pause it, resume it, change its limits, or end it.
    Ctl(Ctl),
    /// Write the answers of a batch that several machines work on to a file.
    Export(Export),
}

/// The headings in the help of `run`, in order.
mod heading {
    pub(super) const INPUT: &str = "Input";
    pub(super) const OUTPUT: &str = "Output and resuming";
    pub(super) const SEVERAL: &str = "Several machines";
    pub(super) const SERVER: &str = "Server and keys";
    pub(super) const LIMITS: &str = "Limits and times";
    pub(super) const RETRIES: &str = "Retries and fewer calls";
    pub(super) const MONEY: &str = "Money";
    pub(super) const SEEING: &str = "Progress and reports";
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{}\n\n{GOING_ON}\n\n{SEVERAL}\n\n{OPTIONS_FILE}\n\n{EXIT_CODES}", input::INPUT))]
pub(crate) struct Run {
    /// The requests: JSON lines, a JSON array, plain text or CSV. `-` is standard input.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,

    #[command(flatten)]
    pub(crate) forms: Forms,

    #[command(flatten)]
    pub(crate) part: Part,

    /// The file for the answers. [default: IN.results.jsonl, where IN is the input without its ending]
    ///
    /// It has one JSON object on each line, in the order in which requests end. `custom_id` names the request. `-` is standard
    /// output, and the default if the input is `-`. With --simulate the default is IN.simulated.jsonl.
    #[arg(short, long, help_heading = heading::OUTPUT, value_name = "OUT.jsonl")]
    pub(crate) output: Option<PathBuf>,

    /// Send everything again, and pay for it again. [default: go on where the last run stopped]
    ///
    /// The old output is kept as OUT.jsonl.1, OUT.jsonl.2 and so on. Without this option, requests that have an answer are
    /// not sent again. The default output of --simulate is always replaced.
    #[arg(long, alias = "force", help_heading = heading::OUTPUT)]
    pub(crate) fresh: bool,

    /// Go on where the last run stopped, and also send again what failed.
    ///
    /// Without this option, a request that failed is not sent again. A request that failed because the key was refused or the
    /// quota was used up is always sent again.
    #[arg(long, conflicts_with = "fresh", help_heading = heading::OUTPUT)]
    pub(crate) retry_failed: bool,

    /// How soon an answer is safe if the machine loses power.
    ///
    /// A crash of this command alone loses no answer at any setting. Each request is recorded before it is sent, so that a
    /// later run knows what may have been paid for. Only `off` does not wait until that record is on the disk.
    #[arg(long, help_heading = heading::OUTPUT, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) fsync: Fsync,

    /// Send to a simulated provider inside this process: a trial without a key.
    ///
    /// It speaks real HTTP on 127.0.0.1, and has limits and faults.
    #[arg(long, help_heading = heading::SERVER, conflicts_with_all = ["base_url", "key_env", "provider"])]
    pub(crate) simulate: bool,

    /// The provider, whose formats, limits and errors apply: openai, anthropic, gemini, ollama, ...
    ///
    /// `http` sends any HTTP request. A wrong name prints all names.
    #[arg(long, help_heading = heading::SERVER, value_name = "NAME", default_value = "openai", value_parser = provider)]
    pub(crate) provider: Provider,

    /// Address of the API, such as http://127.0.0.1:8000/v1. [default: the provider's own]
    #[arg(long, help_heading = heading::SERVER, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Name of the environment variable that holds the key. [default: the provider's usual one]
    ///
    /// Several keys share the work: give several names with a comma between them. The limits given here hold for each key.
    /// Never give a key itself on the command line. With --base-url the default is no key, so that a key is not sent to
    /// another server by mistake.
    #[arg(long, help_heading = heading::SERVER, value_name = "NAME")]
    pub(crate) key_env: Option<String>,

    /// A file of root certificates (PEM) to trust, in addition to those of the system.
    #[arg(long, help_heading = heading::SERVER, value_name = "FILE", conflicts_with = "simulate")]
    pub(crate) ca: Option<PathBuf>,

    /// Requests in flight at once, at most. [default: 64]
    ///
    /// `auto` finds the best number by itself. It is for servers that name no limit.
    #[arg(long, help_heading = heading::LIMITS, value_name = "N|auto", value_parser = concurrency)]
    pub(crate) concurrency: Option<Concurrency>,

    /// Requests per minute, at most. [default: what the provider's headers say]
    #[arg(long, help_heading = heading::LIMITS, value_name = "N", value_parser = positive::<u64>)]
    pub(crate) rpm: Option<u64>,

    /// Tokens per minute, input and output together, at most. [default: what the provider's headers say]
    #[arg(long, help_heading = heading::LIMITS, value_name = "N", value_parser = positive::<u64>)]
    pub(crate) tpm: Option<u64>,

    /// Time for one request in all, such as 90s, 10m, 1h. [default: 30m]
    ///
    /// It includes all attempts and the waits between them. It begins when the request may be sent for the first time.
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,

    /// Time for one attempt, from the open connection to the last byte of the answer. [default: 5m]
    #[arg(long, help_heading = heading::LIMITS, value_name = "TIME", value_parser = duration)]
    pub(crate) attempt_timeout: Option<Duration>,

    /// Attempts for one request, at most. [default: 5]
    ///
    /// Attempts that certainly cost nothing are not counted, such as those refused by a rate limit.
    #[arg(long, help_heading = heading::RETRIES, value_name = "N", value_parser = positive::<u32>)]
    pub(crate) max_attempts: Option<u32>,

    /// Send nothing. Estimate the cost and the time of all lines, as `outbound plan` does.
    #[arg(long, help_heading = heading::MONEY)]
    pub(crate) dry_run: bool,

    /// A file with the prices of the models. `outbound plan --help` describes it.
    #[arg(long, help_heading = heading::MONEY, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,

    /// Print nothing on standard error except errors.
    #[arg(short, long, help_heading = heading::SEEING)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) sending: Sending,

    #[command(flatten)]
    pub(crate) several: Several,

    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

impl From<Run> for Plan {
    fn from(run: Run) -> Self {
        let Run { input, forms, part, provider, base_url, rpm, tpm, prices, .. } = run;
        Self { source: Source { input, provider, base_url, forms }, part, rpm, tpm, prices }
    }
}

const GOING_ON: &str = "\
A run that stopped goes on when the same command is given again. Beside OUT.jsonl a run writes:
  OUT.jsonl.state/    what was sent. It is removed when everything has succeeded; do not delete it before
  OUT.failed.jsonl    the lines that failed, as they stand in the input
  OUT.jsonl.1         the OUT.jsonl from before --fresh
Ctrl-C once: requests in flight are finished. Twice: the run stops at once, and requests in flight may have to be paid for.";

const SEVERAL: &str = "\
Several machines work on one batch: on each of them, give the same command with
  --store postgres://USER:PASSWORD@HOST/DATABASE --name NAME
Nothing is written beside the output then: what was sent, and the answers, are in the database. --rpm and --tpm are for all
machines together, and --concurrency is for each. `outbound status`, `outbound ctl` and `outbound export` take --store and --name,
too. A machine that dies costs nothing but the time of its lease, and what it may have sent is marked as a possible duplicate.
While the database is away nothing new is sent, and nothing fails.";

const OPTIONS_FILE: &str = "\
Options can also be given in a file outbound.toml in this folder, under [run], as `rpm = 500`, and in the environment, as
OUTBOUND_RPM=500. The command line overrides the environment, and the environment overrides the file.";

const EXIT_CODES: &str = "\
Exit codes:
  0    all succeeded
  1    some failed; OUT.failed.jsonl has their lines (with --store: if there is an --output)
  2    an option or the environment is wrong
  3    the input is wrong; the message names the line
  4    the key was refused or the quota is used up; correct that, then give the same command again
  5    stopped early and nothing failed; the same command goes on
  6    the output cannot be written, or belongs to another input; or the database refused
  130  interrupted; the same command goes on";

#[derive(Debug, Args)]
#[command(after_help = input::EXIT_CODES, after_long_help = format!("{}\n\n{}", input::INPUT, input::EXIT_CODES))]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) source: Source,

    #[command(flatten)]
    pub(crate) part: Part,

    /// Requests per minute that the provider grants.
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    pub(crate) rpm: Option<u64>,

    /// Tokens per minute, input and output together, that the provider grants.
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    pub(crate) tpm: Option<u64>,

    /// A file with the prices of the models, in dollars for a million tokens.
    ///
    /// It is JSON: {"MODEL": {"input": 0.15, "output": 0.60}}. The price of gpt-4o also counts for gpt-4o-2024-08-06.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
}

/// How many requests may be in flight at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Fixed(usize),
    /// The number is found by trying.
    Auto,
}

impl Concurrency {
    /// The most that [`Auto`](Self::Auto) tries.
    pub(crate) const MOST: usize = 1_024;
}

/// Reads `auto`, or a number from 1 to 100,000.
fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Concurrency::Auto),
        Ok(requests @ 1..=100_000) => Ok(Concurrency::Fixed(requests)),
        _ => Err(String::from("give a number from 1 to 100000, or auto")),
    }
}

/// Reads a whole number, more than zero.
fn positive<N: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<N, String> {
    match text.parse() {
        Ok(number) if number >= N::from(1) => Ok(number),
        _ => Err(String::from("give a whole number, 1 or more")),
    }
}

/// Reads the name of a provider.
fn provider(name: &str) -> Result<Provider, String> {
    Provider::named(name).ok_or_else(|| {
        let names: Vec<_> = Provider::ALL.iter().map(Provider::name).collect();
        format!("there is no provider of that name; the names are {}", names.join(", "))
    })
}

/// Reads `250ms`, `90s`, `10m`, `2h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if digits.is_empty() {
        return Err(String::from("give a time such as 250ms, 90s, 10m or 2h"));
    }
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        unit => return Err(format!("`{unit}` is not a unit of time; use ms, s, m or h")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("`{digits}` is not a number"))?;
    match Duration::try_from_secs_f64(number * unit) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(String::from("the time is zero or too long")),
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

    /// Each option of `run` has a heading, and its text in `-h` is short.
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
    fn a_limit_is_a_whole_number_more_than_zero() {
        assert_eq!(positive::<u64>("1"), Ok(1));
        assert_eq!(positive::<u32>("4294967295"), Ok(u32::MAX));
        for wrong in ["0", "-1", "1.5", "", "many", "4294967296"] {
            assert!(positive::<u32>(wrong).is_err(), "{wrong}");
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
