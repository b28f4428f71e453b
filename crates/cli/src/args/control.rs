//! What is asked of a run, and of what it has left.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = STATUS_EXIT_CODES)]
pub(crate) struct Status {
    /// The output of a run, or its input if the run had no --output.
    #[arg(value_name = "OUT.jsonl")]
    pub(crate) output: PathBuf,

    /// Say it as one object of JSON: {output, answered, failed, failures: [{code, count, message}], sent_without_answer,
    /// is_torn, at_work, run}. `run` is what the run at work says, in the fields of `run --progress json`; else null.
    #[arg(long)]
    pub(crate) json: bool,
}

const STATUS_EXIT_CODES: &str = "\
It changes nothing and holds up nobody: it can be called at any time, also while the run is at work.

Exit codes: 0 it was said, 2 usage, 3 the file is not there, or no run of this command wrote it, 6 standard output not writable.";
