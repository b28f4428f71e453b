//! The options of `status` and `ctl`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Batch;

#[derive(Debug, Args)]
#[command(override_usage = STATUS_USAGE, after_help = STATUS_EXIT_CODES)]
pub(crate) struct Status {
    /// The output of a run, or its input if the run had no --output.
    #[arg(value_name = "OUT.jsonl", required_unless_present = "store")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) batch: Batch,

    /// Print one JSON object.
    ///
    /// Its members are {output, answered, failed, failures: [{code, count, message}], sent_without_answer, is_torn,
    /// at_work, run}. `at_work` says whether a run is writing to the output; it is null if that cannot be found out. `run` is
    /// the reply of that run, else null: {ok, paused, text, status}, where `status` is as in `run --progress json`.
    ///
    /// With --store they are {batch, requests, answered, failed, failures, ready, claimed, may_have_been_sent, paused, limits,
    /// budget_taken, machines: [{name, is_at_work, began_s, seen_s, text, status}], dead_rows, oldest_transaction_s}.
    #[arg(long)]
    pub(crate) json: bool,
}

const STATUS_USAGE: &str = "\
outbound status [OPTIONS] <OUT.jsonl>
       outbound status [OPTIONS] --store <ADDRESS> --name <NAME>";

const STATUS_EXIT_CODES: &str = "\
It changes nothing and does not disturb a run: call it at any time, also while a run is at work.

Exit codes:
  0    the status was printed
  2    an option is wrong
  3    the file does not exist, or `outbound run` did not write it; or there is no such batch
  6    standard output cannot be written";

#[derive(Debug, Args)]
#[command(override_usage = CTL_USAGE, after_help = CTL_EXIT_CODES)]
pub(crate) struct Ctl {
    /// The output of the run, or its input if the run has no --output.
    #[arg(value_name = "OUT.jsonl", required_unless_present = "store")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) batch: Batch,

    #[command(subcommand)]
    pub(crate) command: CtlCommand,

    /// Print the reply as one JSON object.
    ///
    /// Its members are {ok, paused, text, status}, where `status` is as in `outbound run --progress json`. With --store they are
    /// {ok, paused, limits, machines}, where `machines` is as in `outbound status --json`.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum CtlCommand {
    /// Send nothing more until `resume`. Requests in flight are finished and written. Deadlines of requests go on.
    #[command(override_usage = "outbound ctl <OUT.jsonl> pause [OPTIONS]")]
    Pause,
    /// Go on after `pause`. It also tries again where the key, the quota or the server had failed.
    #[command(override_usage = "outbound ctl <OUT.jsonl> resume [OPTIONS]")]
    Resume,
    /// Change limits of the run. Limits that are not given stay as they are.
    #[command(
        override_usage = "outbound ctl <OUT.jsonl> limits [OPTIONS] <--rpm <N>|--tpm <N>|--concurrency <N>|--budget <USD>>"
    )]
    #[group(required = true, multiple = true)]
    Limits {
        /// Requests per minute, at most.
        #[arg(long, value_name = "N", value_parser = super::positive::<u64>)]
        rpm: Option<u64>,
        /// Tokens per minute, input and output together, at most.
        #[arg(long, value_name = "N", value_parser = super::positive::<u64>)]
        tpm: Option<u64>,
        /// Requests in flight at once, at most.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
        concurrency: Option<u64>,
        /// Dollars for the whole run, at most, with what is spent already. The run needs --prices for it.
        #[arg(long, value_name = "USD")]
        budget: Option<f64>,
    },
    /// End the run as one Ctrl-C does: requests in flight are finished. The same `outbound run` command goes on later.
    #[command(override_usage = "outbound ctl <OUT.jsonl> drain [OPTIONS]")]
    Drain,
    /// Show what the run is doing now.
    #[command(override_usage = "outbound ctl <OUT.jsonl> status [OPTIONS]")]
    Status,
}

const CTL_USAGE: &str = "\
outbound ctl [OPTIONS] <OUT.jsonl> <COMMAND>
       outbound ctl [OPTIONS] --store <ADDRESS> --name <NAME> <COMMAND>";

const CTL_EXIT_CODES: &str = "\
It speaks to the run over the socket OUT.jsonl.state/control, which only the user who started the run can open.
With --store it speaks to all machines that work on the batch, through the database; they hear it within a second. A pause and
limits hold also for machines that join later, a drain does not. --rpm, --tpm and --budget are for all machines together, and
--concurrency is for each.

Exit codes:
  0    done
  2    an option is wrong, or the run refused the command
  3    the output does not exist, or no run is writing to it; or there is no such batch
  6    standard output cannot be written";
