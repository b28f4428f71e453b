//! BATCH-2000: how near a batch comes to what its quota allows, on the paused clock.
//!
//! `cargo bench -p outbound-benches --bench goodput` runs 2,000 requests through manager, client, the bytes of HTTP and
//! the simulator, in every variant and with five seeds each, and prints the table. `E` is the time of an oracle that
//! knows all draws, divided by the time of the run.
//!
//! | argument | |
//! |---|---|
//! | `--smoke` | 500 items, shorter latencies and outage |
//! | `--variant A` | only this variant (A to E, H, N, S; several as `ABC`), in its default setting; H is C with waits to a millisecond |
//! | `--charging estimate,settle,actual` | with these ways of charging |
//! | `--server bucket,window,log` | with these ways of limiting |
//! | `--streamed` | with streamed answers |
//! | `--kind` | no time to dial or to arrive, and headers as fresh as the reply |
//! | `--count-refused` | refused requests count against the limit of requests |
//! | `--managers 4` | so many managers share the items, and the quota through a store in memory |
//! | `--hopeless 0.01` | this share of the items is refused for good |
//! | `--seeds 5`, `--seed 3` | how many seeds, or the only one |
//! | `--prompts FILE` | a file of prompts in the place of the committed ones; also `GOODPUT_PROMPTS` |
//! | `--trace` | what happened in each second, after each run |
//! | `--usual` | ours beside the usual loop, as CSV and nothing else |
//! | `--gate` | fails where a row falls short of its goal |

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::SystemTime,
};

mod arguments;
mod client;
mod run;
mod scenario;
mod table;
mod trace;
mod usual;
mod workload;

use arguments::Arguments;
use run::Run;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    let prompts = match workload::prompts(arguments.prompts.as_deref()) {
        Ok(prompts) => prompts,
        Err(error) => {
            eprintln!("the prompts cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.usual {
        print!("{}", usual::csv(&arguments, &prompts));
        return ExitCode::SUCCESS;
    }
    let began = SystemTime::now();
    let jobs: Vec<_> = arguments
        .settings
        .iter()
        .enumerate()
        .flat_map(|(row, setting)| arguments.seeds.iter().map(move |seed| (row, *setting, *seed)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<usize, Vec<Run>>::new()));
    let threads = if arguments.trace { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    // Each run has a runtime and a clock of its own, so that their number changes nothing but the time it takes.
    thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((row, setting, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = run::run(setting, *seed, &prompts);
                    if arguments.trace {
                        trace::print(setting, *seed, &run);
                    }
                    let mut done = done.lock().expect("no run panicked");
                    done.entry(*row).or_default().push(run);
                }
            });
        }
    });
    let done = done.into_inner().expect("no run panicked");
    table::head();
    let mut held = true;
    for (row, runs) in &done {
        held &= table::row(&arguments.settings[*row], runs);
    }
    let took = began.elapsed().unwrap_or_default();
    println!("\n{} runs in {:.1} s of real time", jobs.len(), took.as_secs_f64());
    if held || !arguments.gate { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
