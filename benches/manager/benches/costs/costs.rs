//! What is counted, and the gates.

use outbound_instructions::callgrind;

use crate::{allocator, cases::Case, server::Server};

/// For one request.
const INSTRUCTIONS: f64 = 65_000.0;
const ALLOCATIONS: f64 = 60.0;

/// Bytes that a batch of ten times as many requests may take more at its peak, for each further one. (How many
/// outcomes wait at once differs from run to run.)
const BYTES: f64 = 16.0;

/// Each case, and whether the gates hold for it.
const CASES: &[(&str, bool)] = &[
    ("hyper-util", false),
    ("hyper-util, limits told", false),
    ("client", false),
    ("client, limits told", false),
    ("manager", true),
    ("manager, limits told", true),
    ("manager, plain HTTP", true),
    ("manager, body from a value", false),
    ("manager, Metrics", false),
    ("client, events", false),
    ("manager, events", false),
];

pub(super) fn request_gates() -> bool {
    let counts_instructions = callgrind::is_installed();
    if !counts_instructions {
        println!("valgrind is not installed: instruction gates skipped");
    }
    let mut kept = true;
    println!("instructions  allocations  one request");
    for (case, is_gated) in CASES {
        let allocations = allocations(case);
        let instructions =
            if counts_instructions { callgrind::per_round(case, [400, 2_000]) } else { f64::NAN };
        let is_over = allocations > ALLOCATIONS || instructions > INSTRUCTIONS;
        kept &= !(is_over && *is_gated);
        let mark = match (is_gated, is_over) {
            (false, _) => "",
            (true, false) => ": held",
            (true, true) => ": MISSED",
        };
        println!("{instructions:>12.0}  {allocations:>11.2}  {case}{mark}");
    }
    println!("{INSTRUCTIONS:>12.0}  {ALLOCATIONS:>11.2}  gates");
    kept
}

fn allocations(case: &str) -> f64 {
    const REQUESTS: usize = 4_000;
    let server = Server::start();
    let case = Case::new(case, server.address);
    in_task(async move {
        case.repeat(400).await;
        let before = allocator::allocations();
        case.repeat(REQUESTS).await;
        (allocator::allocations() - before) as f64 / REQUESTS as f64
    })
}

/// How long the first item of a stream takes over loopback, through the client and through the manager by turns.
pub(super) fn first_items() {
    const ROUNDS: usize = 3_000;
    let server = Server::start();
    let cases = ["client, events", "manager, events"].map(|name| Case::new(name, server.address));
    let [client, manager] = in_task(async move {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            for (case, times) in cases.iter().zip(&mut times) {
                let time = case.first_item().await;
                // The first ones find no connection, and cold caches.
                if round >= ROUNDS / 10 {
                    times.push(time.as_secs_f64() * 1e6);
                }
            }
        }
        times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            [1, 5, 9].map(|tenths| times[times.len() * tenths / 10])
        })
    });
    println!("\nmicroseconds to the first item, 10th, 50th and 90th percentile:");
    println!("client {client:.1?}, manager {manager:.1?}, {:.3} x at the median", manager[1] / client[1]);
}

/// A batch takes memory for what is under way, not for its length.
pub(super) fn memory_gate() -> bool {
    const REQUESTS: [usize; 2] = [1_000, 10_000];
    let server = Server::start();
    let case = Case::new("manager", server.address);
    let [few, many] = in_task(async move {
        case.repeat(1_000).await;
        let mut peaks = [0.0; 2];
        for (peak, requests) in peaks.iter_mut().zip(REQUESTS) {
            let before = allocator::reset_peak();
            case.repeat(requests).await;
            *peak = (allocator::peak() - before) as f64;
        }
        peaks
    });
    let each = (many - few) / (REQUESTS[1] - REQUESTS[0]) as f64;
    let holds = each <= BYTES;
    let mark = if holds { "held" } else { "MISSED" };
    println!(
        "\nbytes at the peak: {few} of {} requests, {many} of {}: {each:.1} for each further one, limit {BYTES}: {mark}",
        REQUESTS[0], REQUESTS[1]
    );
    holds
}

/// One case, for callgrind to count.
pub(super) fn run(case: &str, requests: u64) {
    let server = Server::start();
    let case = Case::new(case, server.address);
    in_task(async move { case.repeat(requests as usize).await });
}

/// Not in the runtime's first future, for which a wake-up is a system call.
fn in_task<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::spawn(future).await.expect("no panic") })
}
