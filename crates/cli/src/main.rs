//! The `outbound` command: a file of requests in, a file of answers out.
#![forbid(unsafe_code)]

#[expect(clippy::doc_markdown, reason = "its comments are help texts, for a terminal")]
mod args;
mod control;
mod ctl;
mod exit;
mod identity;
mod input;
mod interrupt;
mod output;
mod progress;
mod report;
mod run;
mod say;
mod sim;
mod simulate;
mod state;
mod status;
mod summary;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say::line(format_args!("outbound: no runtime: {error}"));
            say::flush();
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match command {
            Command::Run(arguments) => run::run(*arguments).await,
            Command::Sim(arguments) => sim::sim(arguments).await,
            Command::Ctl(arguments) => ctl::ctl(arguments).await,
            Command::Status(arguments) => status::status(arguments).await,
        }
    });
    // Not waited for: a read of standard input that is under way ends when its writer pleases.
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
