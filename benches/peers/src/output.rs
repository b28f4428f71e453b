//! What the program was asked for, and where its figures go besides the tables it prints.
//!
//! `--csv FILE` appends each figure to a file, `--quick` makes every measurement shorter. Both may stand anywhere; the
//! other arguments are the topic's and its own.

use std::{
    fs::File,
    io::Write,
    sync::{LazyLock, Mutex},
};

use crate::case::Kind;

static ARGUMENTS: LazyLock<Arguments> = LazyLock::new(Arguments::read);

struct Arguments {
    is_quick: bool,
    csv: Option<Mutex<File>>,
    others: Vec<String>,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self { is_quick: false, csv: None, others: Vec::new() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => read.is_quick = true,
                "--csv" => {
                    let path = arguments.next().expect("--csv needs a file");
                    let file =
                        File::options().create(true).append(true).open(path).expect("a file to append to");
                    read.csv = Some(Mutex::new(file));
                }
                _ => read.others.push(argument),
            }
        }
        read
    }
}

/// The arguments besides `--quick` and `--csv FILE`: a topic, then what the topic takes.
pub(crate) fn arguments() -> &'static [String] {
    &ARGUMENTS.others
}

/// One of two numbers: for a full run, and for a quick one.
pub(crate) fn full_or_quick<T>(full: T, quick: T) -> T {
    if ARGUMENTS.is_quick { quick } else { full }
}

/// What a figure measures: its name, its unit, and which direction is better (`lower`, `higher`, or nothing).
#[derive(Clone, Copy)]
pub(crate) struct Measure(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const TIME: Measure = Measure("time", "ns", "lower");
pub(crate) const RATIO: Measure = Measure("x ours", "", "");
pub(crate) const INSTRUCTIONS: Measure = Measure("instructions", "", "lower");
pub(crate) const ALLOCATIONS: Measure = Measure("allocations", "", "lower");
pub(crate) const BYTES: Measure = Measure("allocated", "B", "");
pub(crate) const SIZE: Measure = Measure("future", "B", "");

/// One figure: the lowest of all rounds, the median, and the highest. The topic is the part of the group's name before `/`.
pub(crate) fn figure(group: &str, case: &str, kind: Kind, measure: Measure, [low, mid, high]: [f64; 3]) {
    let Measure(name, unit, better) = measure;
    let kind = match kind {
        Kind::Ours => "ours",
        Kind::Peer => "peer",
        Kind::Floor => "floor",
    };
    line(&[group, case, kind, name, unit, better, &number(low), &number(mid), &number(high)]);
}

/// One figure that is the same each time.
pub(crate) fn count(group: &str, case: &str, kind: Kind, measure: Measure, value: f64) {
    figure(group, case, kind, measure, [value; 3]);
}

/// What a group of cases does.
pub(crate) fn about(group: &str, text: &str) {
    line(&[group, text, "about", "", "", "", "", "", ""]);
}

/// What a case guarantees: an answer in words.
pub(crate) fn contract(group: &str, case: &str, question: &str, answer: &str) {
    line(&[group, case, "contract", question, answer, "", "", "", ""]);
}

/// The lowest, the median and the highest.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn line(fields: &[&str]) {
    let Some(file) = &ARGUMENTS.csv else { return };
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    let mut file = file.lock().expect("nobody panics while writing");
    writeln!(file, "{}", fields.join(",")).expect("written");
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Four digits, or as many as there are before the point.
fn number(value: f64) -> String {
    let before = if value.abs() < 1.0 { 1 } else { value.abs().log10() as usize + 1 };
    let text = format!("{value:.*}", 4_usize.saturating_sub(before));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
