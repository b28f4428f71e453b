//! What a plain chat costs in a batch of the manager, beside the client alone and beside hyper-util's: instructions
//! outside of the kernel and allocations for one request, and the memory of long batches.
//!
//! The server is a process of its own, so that whatever is counted is the client's.
//!
//! ```sh
//! cargo bench -p outbound-manager-costs
//! ```

mod allocator;
mod cases;
mod costs;
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
    let requests = costs::request_gates();
    costs::first_items();
    let memory = costs::memory_gate();
    if requests && memory { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
