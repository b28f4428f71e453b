//! The loop that most programs have around their calls, against the simulated provider of the command's demonstration.
//!
//! ```sh
//! cargo run --example naive
//! ```
//!
//! The loop is the request manager of the tutorials on asynchronous programs: a semaphore, a timeout, three tries with
//! exponential backoff and jitter, and `gather`. It stands in `crates/cli/src/simulate/usual_loop.rs`, line for line
//! beside its Python, because the command runs it too. The 120 prompts, the provider and its seed are those of
//! `outbound run --simulate examples/data/prompts.jsonl`, which brings an answer to each of them.
//!
//! The program runs on a clock that jumps to the next event. So it takes a moment, and its figures are the same each time.

use std::time::Duration;

use outbound_examples::{Result, heading};
use serde::Deserialize;
use serde_json::value::RawValue;

#[path = "../crates/cli/src/simulate/provider.rs"]
mod provider;
#[path = "../crates/cli/src/simulate/usual_loop.rs"]
mod usual_loop;

use usual_loop::{Came, Settings};

const PROMPTS: &str = include_str!("data/prompts.jsonl");

/// A line of the file. The body is kept byte for byte: the provider's draws depend on it.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
}

fn main() -> Result {
    let lines = PROMPTS.lines().map(serde_json::from_str::<Line<'_>>);
    let bodies =
        lines.map(|line| Ok(usual_loop::without_stream(line?.body.get()))).collect::<Result<Vec<_>>>()?;
    // As `outbound run --simulate` has them for this file, which needs them for the same figures.
    let (limits, timeout) = ((720, 600_000), Duration::from_secs(3));
    for (max_concurrent, expected) in [(64, [71, 49, 170]), (10, [64, 56, 164])] {
        heading(&format!("{} calls, {max_concurrent} at once", bodies.len()));
        let provider = provider::provider(limits.0, limits.1, provider::SEED);
        let provider = provider::with_restart(provider::with_faults(provider));
        let settings = Settings { max_concurrent, timeout, seed: provider::SEED };
        let came = usual_loop::run(provider, settings, &bodies, 1)?;
        show(&came);
        // What README.md and the summary of the command say is this.
        assert_eq!([came.answered, came.lost, came.refused], expected);
    }
    Ok(())
}

fn show(came: &Came) {
    let Came { took, answered, lost, refused, paid_twice } = came;
    println!("{:.1} s: {answered} answered, {lost} lost", took.as_secs_f64());
    println!("refused for the rate {refused} times; {paid_twice} requests paid for twice");
}
