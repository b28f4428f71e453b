//! What a warm request costs over a connection of hyper's that is held: allocations and instructions, against gates.
//!
//! The server is a process of its own, so that whatever is counted is the client's. Instructions are those outside of
//! the kernel.
//!
//! The second command has all of the client's features compiled in and none of them used: the same gates hold, but for a
//! hundredth.
//!
//! ```sh
//! cargo bench -p outbound-client-costs
//! cargo bench -p outbound-client-costs --features all
//! ```

mod allocator;
mod costs;
mod ours;
mod raw;
mod server;

use std::process::ExitCode;

use outbound_instructions::callgrind;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == server::SERVE) {
        server::serve();
        return ExitCode::SUCCESS;
    }
    if let Some((case, rounds)) = callgrind::asked() {
        costs::run(&case, rounds);
        return ExitCode::SUCCESS;
    }
    let allocations = costs::allocation_gates();
    let instructions = costs::instruction_gates();
    if allocations && instructions { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
