//! Permits that are fought for: 2 workers, 64 tasks, 8 permits, each held over one yield.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use outbound_limiter::ConcurrencyLimiter;
use tokio::{
    sync::Semaphore,
    task::{JoinSet, yield_now},
};

const TASKS: usize = 64;
const TURNS: usize = 4_000;
const PERMITS: usize = 8;
const RUNS: usize = 9;

/// Prints the time for one turn and how long one waits. Ours and tokio's run by turns, to meet the same neighbours.
pub(super) fn measure() {
    let (mut ours, mut tokio) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let limiter = ConcurrencyLimiter::new(PERMITS);
        ours.push(run(|| {
            let limiter = limiter.clone();
            async move {
                let mut waits = Vec::with_capacity(TURNS);
                for _ in 0..TURNS {
                    let asked = now();
                    let permit = limiter.acquire().await;
                    waits.push(asked.elapsed());
                    yield_now().await;
                    drop(permit);
                }
                waits
            }
        }));
        let semaphore = Arc::new(Semaphore::new(PERMITS));
        tokio.push(run(|| {
            let semaphore = Arc::clone(&semaphore);
            async move {
                let mut waits = Vec::with_capacity(TURNS);
                for _ in 0..TURNS {
                    let asked = now();
                    let permit = semaphore.acquire().await.expect("it is open");
                    waits.push(asked.elapsed());
                    yield_now().await;
                    drop(permit);
                }
                waits
            }
        }));
    }
    println!("{TASKS} tasks, {PERMITS} permits, 2 workers, {RUNS} runs of each by turns");
    // Neighbours in time had the same neighbours on the machine.
    let ratio = |of: fn(&Run) -> f64| {
        let mut ratios: Vec<_> = ours.iter().zip(&tokio).map(|(ours, tokio)| of(ours) / of(tokio)).collect();
        ratios.sort_by(f64::total_cmp);
        let [low, median, high] = [1, 2, 3].map(|quarter| ratios[quarter * (RUNS - 1) / 4]);
        format!("{median:.2} ({low:.2} to {high:.2})")
    };
    println!(
        "ours / tokio, median (quartiles) of neighbouring runs: time {}, p99 wait {}",
        ratio(|run| run.per_turn),
        ratio(|run| run.p99)
    );
    println!("           ns/turn: best   median    wait in us, median: p50      p99");
    for (name, mut runs) in [("ours", ours), ("tokio", tokio)] {
        let per_turn = median(&mut runs, |run| run.per_turn);
        let (p50, p99) = (median(&mut runs, |run| run.p50), median(&mut runs, |run| run.p99));
        let best = runs.iter().map(|run| run.per_turn).fold(f64::INFINITY, f64::min);
        println!("{name:>8}{best:>16.1}{per_turn:>9.1}{p50:>27.1}{p99:>9.1}");
    }
}

struct Run {
    per_turn: f64,
    p50: f64,
    p99: f64,
}

fn median(runs: &mut [Run], of: fn(&Run) -> f64) -> f64 {
    runs.sort_by(|one, other| of(one).total_cmp(&of(other)));
    of(&runs[runs.len() / 2])
}

fn run<F: Future<Output = Vec<Duration>> + Send + 'static>(task: impl Fn() -> F) -> Run {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let start = now();
    let mut waits: Vec<Duration> = runtime.block_on(async {
        let tasks: JoinSet<_> = (0..TASKS).map(|_| task()).collect();
        tasks.join_all().await.into_iter().flatten().collect()
    });
    let elapsed = start.elapsed();
    waits.sort_unstable();
    let at = |part: f64| waits[(waits.len() as f64 * part) as usize].as_secs_f64() * 1e6;
    Run { per_turn: elapsed.as_nanos() as f64 / waits.len() as f64, p50: at(0.5), p99: at(0.99) }
}

/// The machine's clock: what is measured here is the machine.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
