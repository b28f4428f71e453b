//! Ours beside its peers, in one run: instructions, allocations, time, and the sizes of futures.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- timeout` prints the tables of one topic, without an
//! argument those of all. Instructions and allocations are repeatable; times are this machine's, at this moment. Both
//! count what a crate's helper threads do (those of async-io, futures-timer and pingora), which is not repeatable.
//!
//! `--quick` makes each measurement shorter; `--csv FILE` writes the figures to a file as well, which
//! `cargo xtask results` makes its page from.
//!
//! A further topic is a module with its groups, and a line in `TOPICS`.

mod allocations;
mod case;
mod client;
mod firing;
mod goodput;
mod http;
mod journal;
mod limiter;
mod manager;
mod measure;
mod output;
mod queue;
mod retry;
mod timeout;

use std::process::ExitCode;

use outbound_instructions::callgrind;

use crate::case::Group;

/// A piece of the project beside its peers: tables of the common measures, and what else it wants to show.
struct Topic {
    name: &'static str,
    groups: fn() -> Vec<Group>,
    also: fn(),
}

const TOPICS: &[Topic] = &[
    Topic { name: "timeout", groups: timeout::groups, also: firing::measure },
    Topic { name: "retry", groups: retry::groups, also: || () },
    Topic { name: "limiter", groups: limiter::groups, also: || () },
    Topic { name: "queue", groups: queue::groups, also: queue::also },
    Topic { name: "client", groups: client::groups, also: || () },
    Topic { name: "manager", groups: manager::groups, also: || () },
    Topic { name: "journal", groups: Vec::new, also: journal::measure },
    Topic { name: "goodput", groups: Vec::new, also: goodput::measure },
];

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == http::server::SERVE) {
        http::server::serve();
        return ExitCode::SUCCESS;
    }
    if let Some((case, rounds)) = callgrind::asked() {
        run_case(&case, rounds);
        return ExitCode::SUCCESS;
    }
    let wanted = output::arguments().first();
    let is_wanted = |topic: &&Topic| wanted.is_none_or(|name| name == topic.name);
    let topics: Vec<_> = TOPICS.iter().filter(is_wanted).collect();
    if topics.is_empty() {
        let names: Vec<_> = TOPICS.iter().map(|topic| topic.name).collect();
        eprintln!("no such topic; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    if !callgrind::is_installed() {
        println!("valgrind is not installed: no instructions are counted\n");
    }
    for topic in topics {
        for group in (topic.groups)() {
            measure::table(&group);
        }
        (topic.also)();
    }
    ExitCode::SUCCESS
}

/// What callgrind counts: see [`callgrind::per_round`].
fn run_case(wanted: &str, rounds: u64) {
    let mut groups = TOPICS.iter().flat_map(|topic| (topic.groups)());
    let run = groups.find_map(|group| {
        let name = group.name;
        group.cases.into_iter().find(|case| case.id(name) == wanted).map(|case| case.run)
    });
    run.expect("a case")(rounds);
}
