//! What is asked of a run, and of what it has left.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = STATUS_EXIT_CODES)]
pub(crate) struct Status {
    /// The output of a run, or its input if the run had no --output.
    #[arg(value_name = "OUT.jsonl")]
    pub(crate) output: PathBuf,

    /// Say it as one object of JSON: {output, answered, failed, failures: [{code, count, message}], sent_without_answer,
    /// is_torn, at_work, run}. `at_work` is null where that cannot be found out. `run` is what the run at work says: {ok, paused, text, status}, `status` as
    /// in `run --progress json`; else null.
    #[arg(long)]
    pub(crate) json: bool,
}

const STATUS_EXIT_CODES: &str = "\
It changes nothing and holds up nobody: it can be called at any time, also while the run is at work.

Exit codes: 0 it was said, 2 usage, 3 the file is not there, or no run of this command wrote it, 6 standard output not writable.";

#[derive(Debug, Args)]
#[command(after_help = CTL_EXIT_CODES)]
pub(crate) struct Ctl {
    /// The output of the run, or its input if the run has no --output.
    #[arg(value_name = "OUT.jsonl")]
    pub(crate) output: PathBuf,

    #[command(subcommand)]
    pub(crate) command: CtlCommand,

    /// Say the reply as it came, one object of JSON: {ok, paused, text, status}, `status` as in `run --progress json`.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum CtlCommand {
    /// Send nothing more until `resume`. What is in flight ends, and its answers are written. Deadlines of requests run on.
    Pause,
    /// Go on after `pause`. What was held because the key, the money or the server failed is tried again too.
    Resume,
    /// Change limits of the running run; what is not named stays as it is.
    #[group(required = true, multiple = true)]
    Limits {
        /// Requests per minute, at most.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        rpm: Option<u64>,
        /// Tokens per minute, input and output together, at most.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        tpm: Option<u64>,
        /// Requests in flight at once, at most.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
        concurrency: Option<u64>,
        /// Dollars for the whole run, at most: what is spent counts. Only where the run knows prices.
        #[arg(long, value_name = "USD")]
        budget: Option<f64>,
    },
    /// End the run as one Ctrl-C does: what is in flight is finished. The same `outbound run` goes on later.
    Drain,
    /// Say what the run does now.
    Status,
}

const CTL_EXIT_CODES: &str = "\
It speaks to the run over the socket OUT.jsonl.state/control, which only the user of the run can open.

Exit codes: 0 done, 2 usage or refused by the run, 3 no such output, or no run is at work on it, 6 standard output not writable.";
