//! The options for a batch on several machines: of `run`, `status`, `ctl` and `export`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};

use super::{duration, heading};

/// How `run` works on a batch in a database.
#[derive(Debug, Clone, Args)]
pub(crate) struct Several {
    /// Work on one batch with other machines. It is in a Postgres database at this address. Needs --name.
    ///
    /// postgres://USER:PASSWORD@HOST:PORT/DATABASE. Give the same command on each machine: the first one puts the lines into
    /// the database, and all take work from it. The answers are in the database too: `outbound export` writes them as a file.
    /// With -o each machine does that by itself when the whole batch is done. Put an address with a password into
    /// OUTBOUND_STORE, where others cannot see it.
    #[arg(long, help_heading = heading::SEVERAL, value_name = "ADDRESS", requires = "name")]
    pub(crate) store: Option<String>,

    /// Name of the batch in the database, such as nightly.
    #[arg(long, help_heading = heading::SEVERAL, value_name = "NAME", requires = "store", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,

    /// Time after which the requests of a machine that died or is cut off go to the others.
    ///
    /// A machine at work extends it by itself, however long a request takes.
    #[arg(long, help_heading = heading::SEVERAL, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) lease: Duration,
}

/// A batch in a database, where `status` and `ctl` can have one in place of a file. If a file is named, it counts: the address may
/// be in the environment for all commands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Batch {
    /// Address of the Postgres database that has the batch, in place of OUT.jsonl. Needs --name.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) store: Option<String>,

    /// Name of the batch in the database.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,
}

impl Batch {
    /// The address and the name, if both are given.
    pub(crate) fn both(&self) -> Option<(&str, &str)> {
        self.store.as_deref().zip(self.name.as_deref())
    }
}

#[derive(Debug, Args)]
#[command(after_help = EXPORT_EXIT_CODES)]
pub(crate) struct Export {
    /// Address of the Postgres database that has the batch.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) store: String,

    /// Name of the batch in the database.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,

    /// The file for the answers. `-` is standard output.
    ///
    /// It has the lines that `outbound run` writes, in the order of the input. If the file is there, and the new one has all of
    /// its answers, it is replaced. Else it is kept as OUT.jsonl.1, OUT.jsonl.2 and so on.
    #[arg(short, long, value_name = "OUT.jsonl")]
    pub(crate) output: PathBuf,

    /// Remove the batch from the database afterwards, if everything in it is done.
    #[arg(long)]
    pub(crate) remove: bool,
}

const EXPORT_EXIT_CODES: &str = "\
It can be called at any time, also while machines are at work: it writes the answers that are there.

Exit codes:
  0    the file has all answers
  1    the file has all lines, and some of them are failures
  2    an option is wrong, or the database cannot be reached
  3    there is no such batch
  5    the file is written, but not all answers are there yet
  6    the file cannot be written";
