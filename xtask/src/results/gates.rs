//! The measurements of the workspace itself: counts with a limit, and `cargo bench`.

use std::{path::Path, time::Duration};

use serde_json::Value;

use super::{at, child, csv, figures_in, machine::Machine, note_run};
use crate::run::Result;

/// As `--only` calls them.
pub(crate) const NAME: &str = "gates";
/// A line for each command: the command, whether its gates are held, its seconds.
pub(crate) const GATES: &str = "gates.csv";
/// A line for each benchmark of `cargo bench`: its name, and nanoseconds: the low end of the confidence interval, the
/// median, the high end.
pub(crate) const CRITERION: &str = "criterion.csv";

/// A command, and whether a quick run leaves it out.
const COMMANDS: &[(&[&str], bool)] = &[
    (&["bench", "-p", "outbound-instructions"], false),
    (&["bench", "-p", "outbound-client-costs"], false),
    (&["bench", "-p", "outbound-client-costs", "--features", "all"], true),
    (&["bench", "-p", "outbound-manager-costs"], false),
    (&["bench", "-p", "outbound-benches", "--bench", "queue", "--", "instructions"], false),
    (&["bench", "-p", "outbound-benches", "--bench", "limiter", "--", "gates"], false),
    (&["bench", "-p", "outbound-benches", "--bench", "goodput", "--", "--gate"], true),
];

const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Runs them all. What failed, each with its last lines.
pub(crate) fn run(is_quick: bool, machine: &Machine) -> Result<Vec<String>> {
    let (mut failed, mut lines) = (Vec::new(), Vec::new());
    for (command, _) in COMMANDS.iter().filter(|(_, is_long)| !(is_quick && *is_long)) {
        let text = format!("cargo {}", command.join(" "));
        let ended = child::run(&text, command, &[], LIMIT)?;
        let error = ended.error();
        let word = if error.is_some() { "BROKEN" } else { "held" };
        lines.push(vec![text, word.to_owned(), ended.took.as_secs().to_string()]);
        failed.extend(error);
    }
    csv::write(&figures_in(GATES), &lines)?;
    failed.extend(criterion(is_quick, machine)?);
    Ok(failed)
}

fn criterion(is_quick: bool, machine: &Machine) -> Result<Option<String>> {
    let home = at(Path::new("target/results/criterion"));
    let _ = std::fs::remove_dir_all(&home);
    let quick: &[&str] = if is_quick { &["--", "--quick"] } else { &[] };
    let bench = [&["bench"], quick].concat();
    let name = format!("cargo {}", bench.join(" "));
    let environment = [("CRITERION_HOME", home.to_string_lossy().into_owned())];
    let ended = child::run(&name, &bench, &environment, LIMIT)?;
    if let Some(error) = ended.error() {
        return Ok(Some(error));
    }
    let mut lines = Vec::new();
    collect(&home, &mut lines)?;
    if lines.is_empty() {
        return Ok(Some(format!("{name}: no benchmark left its figures")));
    }
    lines.sort();
    csv::write(&figures_in(CRITERION), &lines)?;
    note_run("cargo bench", &name, &ended, machine)?;
    Ok(None)
}

/// The figures that criterion leaves in a folder `new` for each benchmark.
fn collect(folder: &Path, lines: &mut Vec<Vec<String>>) -> Result {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.file_name().is_some_and(|name| name == "new") {
            let read = |name| -> Result<Value> {
                Ok(serde_json::from_str(&std::fs::read_to_string(path.join(name))?)?)
            };
            let (benchmark, estimates) = (read("benchmark.json")?, read("estimates.json")?);
            let median = &estimates["median"];
            let interval = &median["confidence_interval"];
            let text = |value: &Value| format!("{:.1}", value.as_f64().unwrap_or(f64::NAN));
            lines.push(vec![
                benchmark["full_id"].as_str().unwrap_or_default().to_owned(),
                text(&interval["lower_bound"]),
                text(&median["point_estimate"]),
                text(&interval["upper_bound"]),
            ]);
        } else {
            collect(&path, lines)?;
        }
    }
    Ok(())
}
