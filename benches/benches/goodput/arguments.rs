//! What is to be run.

use outbound_simulator::{Charging, Window};

/// How one row of the table is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) variant: char,
    pub(crate) charging: Charging,
    pub(crate) window: Window,
    pub(crate) streamed: bool,
    pub(crate) count_refused: bool,
    pub(crate) hopeless: f64,
    pub(crate) smoke: bool,
    /// So many managers share the quota and the items.
    pub(crate) managers: usize,
    /// Nothing is late: no time to dial or to arrive, and headers as fresh as the reply.
    pub(crate) kind: bool,
}

/// The command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) settings: Vec<Setting>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) prompts: Option<String>,
    pub(crate) trace: bool,
    pub(crate) gate: bool,
    pub(crate) usual: bool,
}

impl Arguments {
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut base = Setting {
            variant: 'A',
            charging: Charging::Estimate,
            window: Window::Bucket,
            streamed: false,
            count_refused: false,
            hopeless: 0.0,
            smoke: false,
            managers: 1,
            kind: false,
        };
        let (mut variants, mut chargings, mut windows) = (None, None, None);
        let mut read = Self {
            settings: Vec::new(),
            seeds: (1..=5).collect(),
            prompts: std::env::var("GOODPUT_PROMPTS").ok(),
            trace: false,
            gate: false,
            usual: false,
        };
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--smoke" => base.smoke = true,
                // What criterion's benches are told, where all are run together.
                "--quick" => (base.smoke, read.seeds) = (true, vec![1]),
                "--kind" => base.kind = true,
                "--streamed" => base.streamed = true,
                "--count-refused" => base.count_refused = true,
                "--trace" => read.trace = true,
                "--gate" => read.gate = true,
                "--usual" => read.usual = true,
                "--managers" => base.managers = number::<usize>(&value()?)?.max(1),
                "--hopeless" => base.hopeless = number(&value()?)?,
                "--seeds" => read.seeds = (1..=number(&value()?)?).collect(),
                "--seed" => read.seeds = vec![number(&value()?)?],
                "--prompts" => read.prompts = Some(value()?),
                "--variant" => variants = Some(each(&value()?, variant)?),
                "--charging" => chargings = Some(list(&value()?, charging)?),
                "--server" => windows = Some(list(&value()?, window)?),
                other => {
                    return Err(format!("{other} is no argument of this bench: see the top of its main.rs"));
                }
            }
        }
        let is_narrowed = variants.is_some() || chargings.is_some() || windows.is_some() || base.streamed;
        let variants = variants.unwrap_or_else(|| "ABCDEHNS".chars().collect());
        for charging in chargings.unwrap_or_else(|| vec![Charging::Estimate]) {
            for window in windows.clone().unwrap_or_else(|| vec![Window::Bucket]) {
                let row = |variant: &char| Setting { variant: *variant, charging, window, ..base };
                read.settings.extend(variants.iter().map(row));
            }
        }
        if !is_narrowed {
            for variant in "ABCDE".chars() {
                let row = Setting { variant, ..base };
                read.settings.extend([
                    Setting { charging: Charging::Settle, ..row },
                    Setting { charging: Charging::Actual, ..row },
                    Setting { window: Window::Fixed, ..row },
                    Setting { window: Window::Log, ..row },
                    Setting { streamed: true, ..row },
                ]);
            }
        }
        Ok(read)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number that fits here"))
}

fn each<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.chars().filter(|letter| *letter != ',').map(|letter| one(&letter.to_string())).collect()
}

fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(one).collect()
}

fn variant(text: &str) -> Result<char, String> {
    let letter = text.chars().next().unwrap_or_default().to_ascii_uppercase();
    if "ABCDEHNS".contains(letter) { Ok(letter) } else { Err(format!("there is no variant {text}")) }
}

fn charging(text: &str) -> Result<Charging, String> {
    match text {
        "estimate" => Ok(Charging::Estimate),
        "settle" => Ok(Charging::Settle),
        "actual" => Ok(Charging::Actual),
        _ => Err(format!("there is no way of charging called {text}")),
    }
}

fn window(text: &str) -> Result<Window, String> {
    match text {
        "bucket" => Ok(Window::Bucket),
        "window" => Ok(Window::Fixed),
        "log" => Ok(Window::Log),
        _ => Err(format!("there is no server called {text}")),
    }
}
