//! Where and of what the figures are: the processor, the system, the compiler, the commit. Never a name of a host.

use crate::run::{Result, output};

/// All of it as text, as the page shows it.
pub(crate) struct Machine {
    commit: String,
    compiler: String,
    hardware: String,
}

pub(crate) fn read() -> Result<Machine> {
    let commit = output("git", &["rev-parse", "--short=10", "HEAD"])?;
    // The figures and the page themselves change while they are measured.
    let status = output("git", &["status", "--porcelain", "--untracked-files=no"])?;
    let ours = |line: &str| line.contains("benches/results/") || line.contains("benches/RESULTS.md");
    let is_changed = status.lines().any(|line| !ours(line));
    let changed = if is_changed { ", with changes that are not committed" } else { "" };
    let compiler = output("rustc", &["--version"])?;
    Ok(Machine {
        commit: format!("{}{changed}", commit.trim()),
        compiler: compiler.trim().to_owned(),
        hardware: hardware(),
    })
}

impl Machine {
    /// The last fields of a line in the list of runs.
    pub(crate) fn fields(&self) -> [String; 3] {
        [self.commit.clone(), self.compiler.clone(), self.hardware.clone()]
    }
}

/// Processor, cores, memory, kernel and load, where the system says them as Linux does.
fn hardware() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let processor =
        value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| String::from("a processor"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = value(&read("/proc/meminfo"), "MemTotal").and_then(|text| {
        let kibibytes: f64 = text.split_whitespace().next()?.parse().ok()?;
        Some(format!(", {:.0} GiB of memory", kibibytes / f64::from(1 << 20)))
    });
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().filter(|version| !version.is_empty());
    // What else the machine did: times of a run that began under load are worth little.
    let load =
        read("/proc/loadavg").split_whitespace().next().map(|load| format!(", load average {load} before"));
    format!(
        "{processor}, {cores} cores{}, {}{}{}",
        memory.unwrap_or_default(),
        std::env::consts::OS,
        kernel.map(|version| format!(" {version}")).unwrap_or_default(),
        load.unwrap_or_default()
    )
}
