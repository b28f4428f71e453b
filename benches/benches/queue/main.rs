//! What queues cost.
//!
//! `cargo bench --bench queue -- instructions` counts instructions with callgrind and allocations against the gates;
//! anything else is criterion's, which times pairs and transfers beside the light channels. `benches/peers` has all of
//! the peers, and what becomes of those who wait.

use std::process::ExitCode;

use outbound_instructions::callgrind;

mod costs;
mod instructions;

fn main() -> ExitCode {
    if let Some((case, rounds)) = callgrind::asked() {
        instructions::run(&case, rounds);
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|argument| argument == "instructions") {
        return if instructions::gates() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    costs::measure();
    ExitCode::SUCCESS
}
