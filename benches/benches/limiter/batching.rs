//! Servers that batch, and the laws that look for how much to have in flight: how much of what the best fixed limit
//! gets done is got done.
//!
//! A backlog that never ends, for five minutes. The best fixed limit is that of a grid, for each seed. Three figures
//! are compared with what it does in the same time: of the first 30 s, of the next 30 s (what was reached within 30 s),
//! and of the whole. Beside them: how many were in flight in the last half, and refusals for each 1,000 done.

use laws::{Aimd, Fixed, Gradient2, Inspect, Law, MOST, Ours, Vegas};
use run::{Made, run};
use server::Model;

mod laws;
mod models;
mod run;
mod server;

const GRID: [usize; 17] = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, MOST];
const SEEDS: [u64; 7] = [1, 2, 3, 4, 5, 6, 7];

/// What ours has to reach, of the best fixed limit: from 30 to 60 s, and over the whole.
const GOALS: [f64; 2] = [0.9, 0.95];

type NewLaw = fn() -> Box<dyn Law>;

const LAWS: [(&str, NewLaw); 5] = [
    ("ours", || Box::new(Ours::new())),
    ("AIMD", || Box::new(Aimd::new())),
    ("Gradient2", || Box::new(Gradient2::new())),
    ("Vegas", || Box::new(Vegas::new())),
    ("inspect_ai", || Box::new(Inspect::new())),
];

/// Prints the tables of the servers that the law was tuned on, and of those that it was not.
pub(super) fn print(held_out: bool) {
    let models = if held_out { &models::HELD_OUT[..] } else { &models::TUNING[..] };
    println!(
        "of the best fixed limit, {} seeds, median (worst): first 30 s | 30 to 60 s | 300 s",
        SEEDS.len()
    );
    let mut reached = 0;
    for model in models {
        reached += usize::from(compare(*model));
    }
    let [soon, whole] = GOALS;
    println!(
        "ours reaches {soon} within 30 s and {whole} over 300 s, in the median: {reached} of {}",
        models.len()
    );
}

/// Whether ours reaches the goals.
fn compare(model: Model) -> bool {
    let best = SEEDS.map(|seed| best(model, seed));
    let made = best.map(|(.., made)| made);
    let [mut limits, mut enough] = [best.map(|(limit, ..)| limit), best.map(|(_, enough, _)| enough)];
    limits.sort_unstable();
    enough.sort_unstable();
    let middle = SEEDS.len() / 2;
    let rate = median(&mut made.map(|made| made.tokens.iter().sum::<f64>() / 300.0)).0;
    println!(
        "{}: best at {}, {rate:.0} tokens a second; 0.95 of that from {} on",
        model.name, limits[middle], enough[middle]
    );
    let mut reached = true;
    for (name, law) in LAWS {
        let runs = SEEDS.map(|seed| run(model, &mut *law(), seed));
        let share = |windows: std::ops::Range<usize>| {
            let mut shares = [0.0; SEEDS.len()];
            for ((share, ours), best) in shares.iter_mut().zip(&runs).zip(&made) {
                let sum = |made: &Made| made.tokens[windows.clone()].iter().sum::<f64>();
                *share = sum(ours) / sum(best);
            }
            median(&mut shares)
        };
        let shares = [share(0..1), share(1..2), share(0..10)];
        print!("  {name:<11}");
        for (middle, worst) in shares {
            print!(" {middle:.2} ({worst:.2}) |");
        }
        let (in_flight, _) = median(&mut runs.map(|made| made.in_flight));
        let (refused, _) = median(&mut runs.map(|made| made.refused));
        println!(" {in_flight:.0} in flight | {refused:.0} refused");
        if name == "ours" {
            reached = shares[1].0 >= GOALS[0] && shares[2].0 >= GOALS[1];
        }
    }
    reached
}

/// The limit of the grid that gets the most done, and the least that gets 0.95 of that done.
fn best(model: Model, seed: u64) -> (usize, usize, Made) {
    let runs = GRID.map(|limit| (limit, run(model, &mut Fixed(limit), seed)));
    let total = |made: &Made| made.tokens.iter().sum::<f64>();
    let best = runs.iter().max_by(|(_, a), (_, b)| total(a).total_cmp(&total(b))).expect("a grid");
    let enough = runs.iter().find(|(_, made)| total(made) >= 0.95 * total(&best.1)).expect("the best itself");
    (best.0, enough.0, best.1)
}

/// The median, and the least.
fn median(numbers: &mut [f64]) -> (f64, f64) {
    numbers.sort_by(f64::total_cmp);
    (numbers[numbers.len() / 2], numbers[0])
}
