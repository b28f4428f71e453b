//! Ours beside the usual loop, as lines of CSV: what the chart of the first page is made of.
//!
//! Both meet the same provider with the same seed, with as many calls in flight and the same timeout for each. The usual
//! loop is run once, and once more in a run of its own until nothing is left without an answer.

use std::thread;

use serde_json::Value;
use usual_loop::{Came, Settings};

use crate::{
    arguments::{Arguments, Setting},
    run,
    scenario::{self, CONCURRENT, Size},
};

#[path = "../../../crates/cli/src/simulate/usual_loop.rs"]
mod usual_loop;

/// More rounds than any seed needs.
const ROUNDS: usize = 100;

/// The lines of all settings and seeds, and the names of their columns.
pub(crate) fn csv(arguments: &Arguments, prompts: &[Value]) -> String {
    let mut lines = String::from("who,seed,items,seconds,optimum,answered,lost,refused,paid_twice\n");
    for setting in &arguments.settings {
        // Each run has a runtime and a clock of its own.
        thread::scope(|scope| {
            let run = |seed: &u64| {
                let seed = *seed;
                scope.spawn(move || of_one(setting, seed, prompts))
            };
            let runs: Vec<_> = arguments.seeds.iter().map(run).collect();
            lines.extend(runs.into_iter().map(|run| run.join().expect("no run panicked")));
        });
    }
    lines
}

fn of_one(setting: &Setting, seed: u64, prompts: &[Value]) -> String {
    let ours = run::run(setting, seed, prompts);
    let line = |who: &str, came: &Came| {
        let Came { took, answered, lost, refused, paid_twice } = came;
        let (items, optimum) = (ours.items, ours.oracle.as_secs_f64());
        let seconds = took.as_secs_f64();
        format!("{who},{seed},{items},{seconds:.2},{optimum:.2},{answered},{lost},{refused},{paid_twice}\n")
    };
    let size = Size::of(setting);
    let bodies: Vec<_> = scenario::bodies(setting, seed, prompts)
        .iter()
        .map(|body| usual_loop::without_stream(&body.to_string()))
        .collect();
    let usual = |rounds| {
        let settings = Settings { max_concurrent: CONCURRENT, timeout: size.attempt_timeout(), seed };
        usual_loop::run(scenario::simulator(setting, seed, &size), settings, &bodies, rounds)
            .expect("a runtime")
    };
    let lost = ours.missing + ours.wrong;
    let came = Came {
        took: ours.time,
        answered: ours.items - lost,
        lost,
        refused: ours.ledger.refused(),
        paid_twice: ours.ledger.billed_twice(),
    };
    line("outbound", &came)
        + &line("the usual loop", &usual(1))
        + &line("the usual loop again and again", &usual(ROUNDS))
}
