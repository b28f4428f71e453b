//! The chart of the first page: 2,000 prompts in virtual time, ours beside the usual loop.
//!
//! `cargo xtask chart` runs the bench `goodput` with five seeds, writes its lines to `benches/results/goodput.csv`, and
//! draws the two pictures from that file. `cargo xtask chart --check` writes nothing. It runs the first seed and compares
//! its lines with the file, and it compares the pictures with new ones made from the file. The clock of the runs is
//! virtual, so the figures are the same on every machine and with every profile.

use std::collections::BTreeMap;

use crate::{
    run::{Result, output},
    svg::{self, Bar, Chart, Group, Reference, Scale, Theme, number},
};

const CSV: &str = "benches/results/goodput.csv";
const PICTURES: [(&str, Theme); 2] =
    [("benches/results/goodput-light.svg", Theme::Light), ("benches/results/goodput-dark.svg", Theme::Dark)];

pub(crate) fn chart(is_check: bool) -> Result {
    if !is_check {
        std::fs::create_dir_all("benches/results")?;
        std::fs::write(CSV, run(&["--seeds", "5"])?)?;
    }
    let csv = std::fs::read_to_string(CSV)?;
    let chart = picture(&csv)?;
    if is_check {
        return check(&csv, &run(&["--seed", "1"])?, &chart);
    }
    for (path, theme) in PICTURES {
        std::fs::write(path, svg::svg(&chart, theme))?;
    }
    println!("{CSV} and its pictures are written");
    Ok(())
}

/// The lines that the bench prints.
fn run(seeds: &[&str]) -> Result<String> {
    let bench =
        ["bench", "--quiet", "--package", "outbound-benches", "--profile", "dev", "--bench", "goodput"];
    output("cargo", &[&bench[..], &["--", "--usual", "--variant", "A"], seeds].concat())
}

/// The committed files are what the run gives.
fn check(csv: &str, run: &str, chart: &Chart) -> Result {
    for line in run.lines() {
        if !csv.lines().any(|committed| committed == line) {
            return Err(format!("{CSV} has no line `{line}`, which is what the bench gives now").into());
        }
    }
    for (path, theme) in PICTURES {
        if std::fs::read_to_string(path)? != svg::svg(chart, theme) {
            return Err(format!("{path} is not what {CSV} gives").into());
        }
    }
    println!("{CSV} and its pictures are what `cargo xtask chart` gives");
    Ok(())
}

/// The lines of one contender.
#[derive(Default)]
struct Runs {
    seconds: Vec<f64>,
    lost: Vec<f64>,
    refused: Vec<f64>,
}

fn picture(csv: &str) -> Result<Chart> {
    let mut contenders = BTreeMap::<&str, Runs>::new();
    let mut optimum = Vec::new();
    for line in csv.lines().skip(1) {
        let [who, _, _, seconds, best, _, lost, refused, _] = *line.split(',').collect::<Vec<_>>().as_slice()
        else {
            return Err(format!("{CSV}: `{line}` has not nine columns").into());
        };
        let runs = contenders.entry(who).or_default();
        runs.seconds.push(seconds.parse()?);
        runs.lost.push(lost.parse()?);
        runs.refused.push(refused.parse()?);
        optimum.push(best.parse()?);
    }
    let mut bars = Vec::new();
    for who in ["outbound", "the usual loop again and again", "the usual loop"] {
        let runs = contenders.get(who).ok_or_else(|| format!("{CSV}: nothing of {who}"))?;
        let lost = number(median(&runs.lost));
        let lost = if lost == "0" { String::from("none lost") } else { format!("{lost} lost") };
        bars.push(Bar {
            label: match who {
                "the usual loop" => String::from("the usual loop, once"),
                "the usual loop again and again" => String::from("the usual loop, until none is lost"),
                who => who.to_owned(),
            },
            value: Some(median(&runs.seconds)),
            spread: Some(spread(&runs.seconds)),
            note: format!("{lost}, {} refused", number(median(&runs.refused))),
            is_ours: who == "outbound",
        });
    }
    Ok(Chart {
        title: String::from("2,000 prompts to a provider that limits, fails, and is away for 5 s"),
        unit: String::from(
            "seconds; the median of five seeds, their range, prompts lost and calls refused (429)",
        ),
        scale: Scale::Linear,
        reference: Some(Reference {
            label: String::from("the best possible time:"),
            value: median(&optimum),
        }),
        groups: vec![Group { label: String::new(), bars }],
    })
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
who,seed,items,seconds,optimum,answered,lost,refused,paid_twice
outbound,1,2000,62.00,60.00,2000,0,2,19
the usual loop,1,2000,29.00,60.00,983,1017,4304,1
the usual loop again and again,1,2000,89.00,60.00,2000,0,9440,19
";

    #[test]
    fn each_contender_has_its_bar() {
        let chart = picture(LINES).expect("a chart");
        let bars: Vec<_> =
            chart.groups[0].bars.iter().map(|bar| (bar.value, bar.note.as_str(), bar.is_ours)).collect();
        assert_eq!(bars[0], (Some(62.0), "none lost, 2 refused", true));
        assert_eq!(bars[2], (Some(29.0), "1,017 lost, 4,304 refused", false));
        assert_eq!(chart.reference.map(|reference| reference.value), Some(60.0));
        assert!(picture(&LINES.replace("outbound,", "other,")).is_err());
    }

    #[test]
    fn a_line_that_differs_is_found() {
        let chart = picture(LINES).expect("a chart");
        let error = check(LINES, &LINES.replace("62.00", "62.01"), &chart).expect_err("it differs");
        assert!(error.to_string().contains("62.01"), "{error}");
    }
}
