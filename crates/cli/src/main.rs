//! The `outbound` command: a file of requests in, a file of answers out.
//!
//! Somebody has a file of prompts and no program. The run may take all night, the provider limits and fails, the machine may
//! stop, and every answer is paid for once. The command hands each line to `outbound::RequestManager`, which decides all about
//! sending, and keeps beside the output what a later run has to know.
//!
//! ```sh
//! outbound run --simulate examples/data/prompts.jsonl    # a trial, without a key
//! outbound check prompts.jsonl
//! outbound plan prompts.jsonl --prices prices.json
//! outbound run prompts.jsonl -o answers.jsonl
//! ```
//!
//! Several machines work on one batch that is in a Postgres database: the same command on each.
//!
//! ```sh
//! export OUTBOUND_STORE=postgres://USER:PASSWORD@HOST/DATABASE
//! outbound run prompts.jsonl --name nightly
//! outbound status --name nightly
//! outbound export --name nightly -o answers.jsonl
//! ```
//!
//! `outbound run --help` has all options. The guide of the crate `outbound` has a page about a batch overnight, and one about several machines.
//!
//! # What is in it
//!
//! | modules | are |
//! |---|---|
//! | `args`, `config` | the command line; the same from `outbound.toml` and the environment |
//! | `secrets` | keys that somebody gave on the command line are not shown again |
//! | `input`, `identity` | every form of input as the same line, and what makes it this line and no other |
//! | `run` | the way of the lines through the manager |
//! | `output`, `state` | the answers; what was sent, in a journal |
//! | `watch`, `progress`, `summary`, `report` | an observer that counts, and three ways to show what it counted |
//! | `check`, `plan`, `tally`, `status` | what reads and does not send |
//! | `control`, `ctl`, `interrupt` | what is asked of a run at work: over its socket, or by Ctrl-C |
//! | `several` | one batch on several machines, in a database (feature `postgres`, on by default) |
//! | `sim`, `simulate` | the simulated provider: alone, or inside a run |
//! | `say`, `exit` | standard error and the exit code |
//!
//! # Guarantees
//!
//! - **Nothing is lost.** What has its answer in the output is not sent again. A line is written down before its bytes leave, so
//!   that a later run knows what may be paid for. With several machines both are in the database.
//! - **The input is read first.** A mistake in its last line costs nothing. (Standard input is read as it comes.)
//! - **Memory.** Of a line that is done, a digest of some bytes is kept, and no more. An array or a table is never held whole.
//! - **No key** is in the output, the journal, a message or the report.
//!
//! # What it does not do
//!
//! It decides nothing about sending, and runs no batch of a provider's own batch API.
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "postgres"), allow(dead_code, unused_imports, reason = "some is only for --store"))]

#[expect(clippy::doc_markdown, reason = "its comments are help texts, for a terminal")]
mod args;
mod check;
mod config;
mod control;
mod ctl;
mod exit;
mod identity;
mod input;
mod interrupt;
mod output;
mod plan;
mod progress;
mod report;
mod run;
mod same_file;
mod say;
mod secrets;
#[cfg(feature = "postgres")]
mod several;
#[cfg(not(feature = "postgres"))]
#[path = "several/without.rs"]
mod several;
mod sim;
mod simulate;
mod state;
mod status;
mod stdout;
mod summary;
mod totals;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::{
    args::{Arguments, Command},
    exit::Stop,
};

fn main() -> ExitCode {
    let arguments = match config::arguments() {
        Ok(arguments) => arguments,
        Err(stop) => {
            say::line(format_args!("outbound: {stop}"));
            say::flush();
            return stop.code();
        }
    };
    let command = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        Err(error) => return misused(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say::line(format_args!("outbound: the runtime cannot start: {error}"));
            say::flush();
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match command {
            Command::Run(arguments) => run::run(*arguments).await,
            Command::Check(source) => check::check(*source).await,
            Command::Plan(arguments) => plan::plan(*arguments).await,
            Command::Sim(arguments) => sim::sim(arguments).await,
            Command::Completions { shell } => completions(shell),
            Command::Ctl(arguments) => ctl::ctl(arguments).await,
            Command::Status(arguments) => status::status(arguments).await,
            Command::Export(arguments) => several::export(arguments).await,
        }
    });
    // The runtime is not waited for: a read of standard input may never end.
    runtime.shutdown_background();
    let code = match result {
        Ok(code) => ExitCode::from(code),
        Err(stop) => {
            say::line(format_args!("outbound: {stop}"));
            stop.code()
        }
    };
    say::flush();
    code
}

/// Prints a script for a shell that completes commands and options.
fn completions(shell: clap_complete::Shell) -> Result<u8, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "outbound", &mut script);
    stdout::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(exit::ALL_SUCCEEDED)
}

/// Prints what is wrong with the arguments; or the help, where that was asked for.
fn misused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        say::line(error.render().to_string().trim_end());
        say::flush();
    } else {
        // Help that nobody reads is no error: `outbound run --help | head` is usual.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
