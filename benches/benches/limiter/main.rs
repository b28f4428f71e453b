//! What limits cost, and how well they do against servers that limit.
//!
//! `cargo bench --bench limiter` times single operations beside their peers with criterion. `-- gates` is all that has a
//! limit: it fails where one is broken. Its parts: `-- instructions` counts instructions with callgrind and allocations against the gates;
//! `-- goodput` runs a batch of 2,000 against a server that counts by the second; `-- simulation` runs a backlog against five kinds of server on the paused clock;
//! `-- batching` has laws look for the best concurrency of servers that batch, `-- batching held-out` of servers that ours was not tuned on; `-- contended` times permits that are
//! fought for.

use std::process::ExitCode;

use outbound_instructions::callgrind;

mod batching;
mod contended;
mod costs;
mod goodput;
mod instructions;
mod server;
mod simulation;

fn main() -> ExitCode {
    if let Some((case, rounds)) = callgrind::asked() {
        instructions::run(&case, rounds);
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let held = match arguments[..] {
        ["instructions"] => instructions::gates(),
        ["goodput"] => goodput::print(),
        ["simulation"] => simulation::gates(),
        ["batching"] | ["batching", "held-out"] => {
            batching::print(arguments.len() > 1);
            true
        }
        ["contended"] => {
            contended::measure();
            true
        }
        ["gates"] => instructions::gates() & simulation::gates() & goodput::print(),
        _ => {
            costs::measure();
            true
        }
    };
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
