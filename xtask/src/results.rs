//! The page of results: measures ours beside the peers, writes the figures as CSV, and makes the page and its charts of
//! the CSV files alone.

mod chart;
mod child;
mod csv;
mod figures;
mod gates;
mod machine;
mod page;
mod table;
#[cfg(test)]
mod tests;
mod topics;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use self::{child::Ended, topics::TOPICS};
use crate::run::Result;

const HELP: &str = "\
cargo xtask results [--quick] [--only TOPIC]   measures, then writes the CSV files, the page and the charts
cargo xtask results --page                     writes the page and the charts from the CSV files, measures nothing
cargo xtask results --check                    fails where the page or a chart is not what the CSV files give";

/// Where the CSV files and the charts are, from the workspace's root.
const FOLDER: &str = "benches/results";
const PAGE: &str = "benches/RESULTS.md";
const PEERS: &str = "benches/peers/Cargo.toml";

/// What was run for a topic, when and where: one line for each topic.
const RUNS: &str = "runs.csv";

pub(crate) fn results(arguments: impl Iterator<Item = String>) -> Result {
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--check"] => check(),
        ["--page"] => write(),
        [] => measure(false, None),
        ["--quick"] => measure(true, None),
        ["--only", topic] => measure(false, Some(topic)),
        ["--quick", "--only", topic] | ["--only", topic, "--quick"] => measure(true, Some(topic)),
        _ => Err(HELP.into()),
    }
}

/// Runs all that is wanted, one after the other. What fails is named at the end, and hinders nothing else; its figures
/// stay those of an earlier run.
fn measure(is_quick: bool, only: Option<&str>) -> Result {
    let is_wanted = |name: &str| only.is_none_or(|only| only == name);
    if !TOPICS.iter().any(|topic| is_wanted(topic.name)) && !is_wanted(gates::NAME) {
        return Err(format!("no topic {}", only.unwrap_or_default()).into());
    }
    let began = now();
    std::fs::create_dir_all(at(Path::new(FOLDER)))?;
    let machine = machine::read()?;
    let mut failed = Vec::new();

    let wanted: Vec<_> = TOPICS.iter().filter(|topic| is_wanted(topic.name)).collect();
    let build = ["build", "--release", "--manifest-path", PEERS];
    let build = || child::run("build of the peers", &build, &[], Duration::from_secs(1_800));
    let error = if wanted.is_empty() { None } else { build()?.error() };
    let measured = if error.is_some() { &[][..] } else { &wanted[..] };
    failed.extend(error);
    for topic in measured {
        failed.extend(measure_topic(topic, is_quick, &machine)?);
        // After each, so that an interrupted run leaves a page that agrees with its figures.
        write()?;
    }
    if is_wanted(gates::NAME) {
        failed.extend(gates::run(is_quick, &machine)?);
        write()?;
    }
    println!("\n{PAGE} is written, after {}", child::minutes(began.elapsed()));
    if failed.is_empty() {
        return Ok(());
    }
    for error in &failed {
        println!("FAILED: {error}");
    }
    Err(format!("{} of the measurements failed; their figures are those of an earlier run", failed.len())
        .into())
}

/// Why there are no new figures of a topic, if so.
fn measure_topic(
    topic: &topics::Topic,
    is_quick: bool,
    machine: &machine::Machine,
) -> Result<Option<String>> {
    let (file, new) = (csv_of(topic.name), csv_of(&format!("{}.new", topic.name)));
    let _ = std::fs::remove_file(&new);
    let new_name = new.to_string_lossy().into_owned();
    let quick: &[&str] = if is_quick { &["--quick"] } else { &[] };
    let run = ["run", "--quiet", "--release", "--manifest-path", PEERS, "--", topic.name];
    let run = [&run[..], topic.arguments, quick].concat();
    let ended = child::run(topic.name, &[&run[..], &["--csv", &new_name]].concat(), &[], topic.limit)?;
    let error = ended.error().or_else(|| (!new.is_file()).then(|| format!("{}: no figures", topic.name)));
    if error.is_some() {
        let _ = std::fs::remove_file(&new);
        return Ok(error);
    }
    std::fs::rename(&new, &file)?;
    note_run(topic.name, &format!("cargo {}", run.join(" ")), &ended, machine)?;
    Ok(None)
}

/// Replaces the line of a topic in the list of runs.
fn note_run(name: &str, command: &str, ended: &Ended, machine: &machine::Machine) -> Result {
    let path = figures_in(RUNS);
    let mut lines = csv::read(&path)?;
    lines.retain(|line| line.first().is_none_or(|first| first != name));
    let seconds = ended.took.as_secs().to_string();
    let mut line = vec![name.to_owned(), command.to_owned(), seconds];
    line.extend(machine.fields());
    lines.push(line);
    let rank =
        |line: &Vec<String>| TOPICS.iter().position(|topic| topic.name == line[0]).unwrap_or(TOPICS.len());
    lines.sort_by_key(rank);
    csv::write(&path, &lines)
}

/// Writes the page and the charts.
fn write() -> Result {
    for (path, text) in page::files()? {
        std::fs::write(at(&path), text)?;
    }
    Ok(())
}

/// Fails where a file differs from what the CSV files give.
fn check() -> Result {
    let files = page::files()?;
    let differs = |(path, text): &(PathBuf, String)| {
        (std::fs::read_to_string(at(path)).unwrap_or_default() != *text).then(|| path.display().to_string())
    };
    let stale: Vec<String> = files.iter().filter_map(differs).collect();
    if stale.is_empty() {
        println!("results: {} files are what the CSV files give", files.len());
        return Ok(());
    }
    Err(format!(
        "not what the CSV files give: {}; `cargo xtask results --page` writes them",
        stale.join(", ")
    )
    .into())
}

fn csv_of(name: &str) -> PathBuf {
    figures_in(&format!("peers-{name}.csv"))
}

/// A file with figures.
fn figures_in(name: &str) -> PathBuf {
    at(&Path::new(FOLDER).join(name))
}

/// A path from the workspace's root, wherever this runs.
fn at(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// How long a run takes is measured by the machine's clock; there is no runtime here whose clock it could be.
#[expect(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
