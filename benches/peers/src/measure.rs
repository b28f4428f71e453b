//! The three measures, and the table they are printed in.

use std::time::Duration;

use outbound_instructions::callgrind;

use crate::{
    allocations,
    case::{Case, Group, Kind},
    output::{self, full_or_quick, spread},
};

/// How often each case is timed. The cases take turns, to meet the same neighbours.
const TURNS: usize = 15;
const QUICK_TURNS: usize = 5;
/// What a turn takes at least.
const TURN: Duration = Duration::from_millis(4);

/// Less than this is the work of other threads.
const ROUNDING: f64 = 0.005;

struct Row {
    instructions: Option<f64>,
    allocations: f64,
    bytes: f64,
    /// For one round, turn by turn.
    nanoseconds: Vec<f64>,
}

pub(crate) fn table(group: &Group) {
    let times = take_turns(group);
    let measured = group.cases.iter().zip(times);
    let rows: Vec<_> = measured.map(|(case, nanoseconds)| row(group, case, nanoseconds)).collect();
    let ours = &rows[0];

    println!("### {}\n\n{}\n", group.name, group.about);
    println!(
        "| case | instructions | x ours | allocations | bytes | ns | lowest to highest | x ours | future B |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (case, row) in group.cases.iter().zip(&rows) {
        let instructions = row.instructions.map_or(String::from("-"), |count| format!("{count:.1}"));
        let times = row.instructions.zip(ours.instructions).map(|(count, ours)| count / ours);
        let times = times.map_or(String::from("-"), |times| format!("{times:.2}"));
        let [low, median, high] = spread(row.nanoseconds.iter().copied());
        let [_, slower, _] = ratios(&row.nanoseconds, &ours.nanoseconds);
        println!(
            "| {} | {instructions} | {times} | {:.2} | {:.0} | {median:.1} | {low:.1} to {high:.1} | {slower:.2} | {} |",
            case.name, row.allocations, row.bytes, case.size
        );
    }
    println!();
    ahead(group, &rows);
    record(group, &rows);
}

/// Writes the figures down, where that is asked for.
fn record(group: &Group, rows: &[Row]) {
    output::about(group.name, group.about);
    for (case, row) in group.cases.iter().zip(rows) {
        record_times(group.name, case, &row.nanoseconds, &rows[0].nanoseconds);
        let count = |measure, value| output::count(group.name, case.name, case.kind, measure, value);
        if let Some(instructions) = row.instructions {
            count(output::INSTRUCTIONS, instructions);
        }
        count(output::ALLOCATIONS, row.allocations);
        count(output::BYTES, row.bytes);
        if case.size > 0 {
            count(output::SIZE, case.size as f64);
        }
    }
}

/// A case's times, and how many times those of ours they are, turn by turn.
pub(crate) fn record_times(group: &str, case: &Case, times: &[f64], ours: &[f64]) {
    output::figure(group, case.name, case.kind, output::TIME, spread(times.iter().copied()));
    output::figure(group, case.name, case.kind, output::RATIO, ratios(times, ours));
}

pub(crate) fn ratios(times: &[f64], ours: &[f64]) -> [f64; 3] {
    spread(times.iter().zip(ours).map(|(time, ours)| time / ours))
}

fn row(group: &Group, case: &Case, nanoseconds: Vec<f64>) -> Row {
    let (few, many) = (group.rounds, 3 * group.rounds);
    let is_counted = callgrind::is_installed() && group.is_counted;
    let instructions = is_counted.then(|| callgrind::per_round(&case.id(group.name), [few, many]));
    let [(few_times, few_bytes), (many_times, many_bytes)] =
        [few, many].map(|rounds| allocations::count(|| _ = (case.run)(rounds)));
    let per_round =
        |few_of: u64, many_of: u64| (many_of as f64 - few_of as f64).max(0.0) / (many - few) as f64;
    let (allocations, bytes) = (per_round(few_times, many_times), per_round(few_bytes, many_bytes));
    Row { instructions, allocations, bytes, nanoseconds }
}

/// Nanoseconds for one round, of each case at each turn.
pub(crate) fn take_turns(group: &Group) -> Vec<Vec<f64>> {
    let turns = full_or_quick(TURNS, QUICK_TURNS);
    let long_enough = |case: &Case| {
        let mut rounds = group.rounds;
        while (case.run)(rounds) < TURN {
            rounds = rounds.checked_mul(2).expect("a case that takes time");
        }
        rounds
    };
    let rounds: Vec<_> = group.cases.iter().map(long_enough).collect();
    let mut times = vec![Vec::with_capacity(turns); group.cases.len()];
    for _ in 0..turns {
        for ((case, rounds), times) in group.cases.iter().zip(&rounds).zip(&mut times) {
            times.push((case.run)(*rounds).as_nanos() as f64 / *rounds as f64);
        }
    }
    times
}

/// Says which peers need less than ours, by what can be counted.
fn ahead(group: &Group, rows: &[Row]) {
    let of_kind = |kind| group.cases.iter().zip(rows).filter(move |(case, _)| case.kind == kind);
    for (case, ours) in of_kind(Kind::Ours) {
        let is_ahead =
            |row: &Row| row.instructions < ours.instructions || row.allocations < ours.allocations - ROUNDING;
        let ahead: Vec<_> =
            of_kind(Kind::Peer).filter(|(_, row)| is_ahead(row)).map(|(case, _)| case.name).collect();
        let ahead = if ahead.is_empty() { "none".to_owned() } else { ahead.join(", ") };
        let counted = if ours.instructions.is_some() { "instructions or allocations" } else { "allocations" };
        println!("With fewer {counted} than {}: {ahead}.\n", case.name);
    }
}
