//! The three measures, and the table they are printed in.

use std::time::Duration;

use outbound_instructions::callgrind;

use crate::{
    allocations,
    case::{Case, Group, Kind},
};

/// How often each case is timed. The cases take turns, to meet the same neighbours.
const TURNS: usize = 15;
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
    println!("| case | instructions | x ours | allocations | bytes | ns | spread | x ours | future B |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (case, row) in group.cases.iter().zip(&rows) {
        let instructions = row.instructions.map_or(String::from("-"), |count| format!("{count:.1}"));
        let times = row.instructions.zip(ours.instructions).map(|(count, ours)| count / ours);
        let times = times.map_or(String::from("-"), |times| format!("{times:.2}"));
        let [first, median, third] = quartiles(row.nanoseconds.iter().copied());
        let [_, slower, _] =
            quartiles(row.nanoseconds.iter().zip(&ours.nanoseconds).map(|(ns, ours)| ns / ours));
        println!(
            "| {} | {instructions} | {times} | {:.2} | {:.0} | {median:.1} | {:.0}% | {slower:.2} | {} |",
            case.name,
            row.allocations,
            row.bytes,
            100.0 * (third - first) / median,
            case.size
        );
    }
    println!();
    ahead(group, &rows);
}

fn row(group: &Group, case: &Case, nanoseconds: Vec<f64>) -> Row {
    let (few, many) = (group.rounds, 3 * group.rounds);
    let instructions =
        callgrind::is_installed().then(|| callgrind::per_round(&case.id(group.name), [few, many]));
    let [(few_times, few_bytes), (many_times, many_bytes)] =
        [few, many].map(|rounds| allocations::count(|| _ = (case.run)(rounds)));
    let per_round =
        |few_of: u64, many_of: u64| (many_of as f64 - few_of as f64).max(0.0) / (many - few) as f64;
    let (allocations, bytes) = (per_round(few_times, many_times), per_round(few_bytes, many_bytes));
    Row { instructions, allocations, bytes, nanoseconds }
}

/// Nanoseconds for one round, of each case at each turn.
pub(crate) fn take_turns(group: &Group) -> Vec<Vec<f64>> {
    let long_enough = |case: &Case| {
        let mut rounds = group.rounds;
        while (case.run)(rounds) < TURN {
            rounds = rounds.checked_mul(2).expect("a case that takes time");
        }
        rounds
    };
    let rounds: Vec<_> = group.cases.iter().map(long_enough).collect();
    let mut times = vec![Vec::with_capacity(TURNS); group.cases.len()];
    for _ in 0..TURNS {
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

pub(crate) fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
