//! What prose claims, checked by a machine.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::{
    MAIN_JOB, TESTS,
    run::{Result, output},
};

/// Which of our crates a crate may depend on. The picture is in ARCHITECTURE.md; this is the proof.
const ARROWS: &[(&str, &[&str])] = &[
    ("outbound-waitlist", &[]),
    ("outbound-timer", &[]),
    ("outbound-timeout", &["outbound-timer"]),
    ("outbound-retry", &["outbound-timer"]),
    ("outbound-limiter", &["outbound-waitlist", "outbound-timer"]),
    ("outbound-queue", &["outbound-waitlist"]),
    ("outbound-client", &["outbound-timer"]),
    ("outbound-provider", &[]),
    ("outbound-journal", &[]),
    (
        "outbound",
        &[
            "outbound-timeout",
            "outbound-retry",
            "outbound-limiter",
            "outbound-queue",
            "outbound-client",
            "outbound-provider",
            "outbound-journal",
        ],
    ),
    ("outbound-tower", &["outbound-timeout", "outbound-retry", "outbound-limiter"]),
    ("outbound-simulator", &[]),
    ("outbound-otel", &["outbound"]),
    ("outbound-cli", &["outbound", "outbound-journal", "outbound-simulator"]),
];

/// Longest source file, in lines, tests included; anything over `EXPLAIN` is listed on every run.
const SPLIT: usize = 700;
const EXPLAIN: usize = 400;

/// Checks everything and reports all that is wrong, not only the first.
pub(crate) fn tidy() -> Result {
    let mut wrong = Vec::new();
    let files = tracked_files()?;
    arrows(&mut wrong)?;
    manifests(&files, &mut wrong);
    sources(&files, &mut wrong);
    prose(&files, &mut wrong);
    if wrong.is_empty() {
        println!("tidy: {} files, nothing to say", files.len());
        return Ok(());
    }
    for line in &wrong {
        println!("tidy: {line}");
    }
    Err(format!("{} things to mend", wrong.len()).into())
}

/// Names of the packages that people depend on.
pub(crate) fn library_packages() -> Result<Vec<String>> {
    Ok(ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect())
}

/// Names of a package's targets of one kind.
pub(crate) fn targets(package: &str, kind: &str) -> Result<Vec<String>> {
    let targets = find(package)?["targets"].as_array().cloned().unwrap_or_default();
    let of_kind = targets.iter().filter(|target| target["kind"][0] == kind);
    Ok(of_kind.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect())
}

/// Names of a package's features, `default` aside.
pub(crate) fn features(package: &str) -> Result<Vec<String>> {
    let features = find(package)?["features"].as_object().cloned().unwrap_or_default();
    Ok(features.keys().filter(|name| *name != "default").cloned().collect())
}

fn arrows(wrong: &mut Vec<String>) -> Result {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in packages()? {
        let name = package["name"].as_str().unwrap_or_default();
        let published = package["publish"] != Value::Array(Vec::new());
        let Some(allowed) = allowed.get(name) else {
            if published {
                wrong.push(format!("{name} is published and has no line in the table of arrows"));
            }
            continue;
        };
        let mut used = Vec::new();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let ours = on == "outbound" || on.starts_with("outbound-");
            let development = dependency["kind"] == "dev";
            if ours && !development && !allowed.contains(&on) {
                wrong.push(format!("{name} -> {on} is not an arrow of the design"));
            }
            used.extend((ours && !development).then(|| on.to_owned()));
        }
        for missing in allowed.iter().filter(|on| !used.iter().any(|used| used == *on)) {
            wrong.push(format!("{name} -> {missing} is an arrow that nothing uses"));
        }
        let folder = if name == "outbound" { name } else { name.trim_start_matches("outbound-") };
        let manifest = package["manifest_path"].as_str().unwrap_or_default().replace('\\', "/");
        if !manifest.ends_with(&format!("crates/{folder}/Cargo.toml")) {
            wrong.push(format!("{name} does not live in crates/{folder}"));
        }
    }
    Ok(())
}

fn manifests(files: &[String], wrong: &mut Vec<String>) {
    for file in
        files.iter().filter(|file| file.ends_with("/Cargo.toml") && !file.starts_with("benches/peers"))
    {
        let text = read(file);
        for line in ["version.workspace = true", "edition.workspace = true", "license.workspace = true"] {
            if !text.contains(line) {
                wrong.push(format!("{file}: no `{line}`"));
            }
        }
        if !text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{file}: the workspace's lints are not inherited"));
        }
    }
}

fn sources(files: &[String], wrong: &mut Vec<String>) {
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        let text = read(file);
        let lines = text.lines().count();
        if lines > SPLIT {
            wrong.push(format!("{file}: {lines} lines; what idea is hiding in it?"));
        } else if lines > EXPLAIN {
            println!("tidy: note: {file} has {lines} lines");
        }
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let home_of_unsafe = file.starts_with("crates/waitlist/") || file.starts_with("xtask/");
        if !home_of_unsafe && text.lines().filter(code).any(|line| line.contains("unsafe ")) {
            let counting_allocator = file.contains("/tests/") || file.starts_with("benches/");
            if !counting_allocator {
                wrong.push(format!("{file}: unsafe code lives in crates/waitlist only"));
            }
        }
        // Spelled in halves here and below, so that this file does not find itself.
        if text.contains(&["```", "ignore"].concat()) {
            wrong.push(format!("{file}: an ignored example proves nothing"));
        }
        if let Some(crate_root) = file.strip_prefix("crates/").filter(|file| file.ends_with("/src/lib.rs")) {
            if !crate_root.starts_with("waitlist/") && !text.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{file}: no `#![forbid(unsafe_code)]`"));
            }
            let starts = ["fn ", "pub fn ", "impl ", "impl<", "struct ", "pub struct ", "enum ", "pub enum "];
            if text.lines().any(|line| starts.iter().any(|start| line.starts_with(start))) {
                wrong.push(format!("{file}: a crate's page holds prose, `mod` and `pub use`, no logic"));
            }
        }
    }
}

fn prose(files: &[String], wrong: &mut Vec<String>) {
    let readme = read("README.md");
    for command in [MAIN_JOB, TESTS] {
        if !readme.lines().any(|line| line.trim() == command) {
            wrong.push(format!("README.md: the command `{command}` is not on a line of its own"));
        }
    }
    if readme.lines().any(|line| line.starts_with("# #[") || line.starts_with("# async")) {
        wrong.push(String::from("README.md: a hidden line of an example is not hidden from its readers"));
    }
    let map = read("ARCHITECTURE.md");
    for (package, arrows) in ARROWS {
        let short = |name: &str| format!("`{}`", name.trim_start_matches("outbound-"));
        let arrows: Vec<String> = arrows.iter().map(|name| short(name)).collect();
        let arrows = if arrows.is_empty() { String::from("-") } else { arrows.join(", ") };
        let row = map.lines().find(|line| line.starts_with(&format!("| {} |", short(package))));
        if !row.is_some_and(|row| row.ends_with(&format!("| {arrows} |"))) {
            wrong.push(format!("ARCHITECTURE.md: the row of {package} should end with `{arrows}`"));
        }
    }
    let registry = ["crates", ".io"].concat();
    let homes = [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()];
    for file in files.iter().filter(|file| !file.ends_with("Cargo.lock")) {
        let text = read(file);
        if text.contains(&registry) {
            wrong.push(format!("{file}: names a package registry's host"));
        }
        if homes.iter().any(|home| text.contains(home.as_str())) {
            wrong.push(format!("{file}: names a path of some machine"));
        }
    }
}

fn packages() -> Result<Vec<Value>> {
    let metadata = output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    Ok(metadata["packages"].as_array().cloned().unwrap_or_default())
}

fn find(package: &str) -> Result<Value> {
    packages()?
        .into_iter()
        .find(|found| found["name"] == package)
        .ok_or_else(|| format!("no package {package}").into())
}

fn tracked_files() -> Result<Vec<String>> {
    let listed = output("git", &["ls-files"])?;
    Ok(listed.lines().filter(|file| Path::new(file).is_file()).map(str::to_owned).collect())
}

/// A file's text; empty where it is missing or not text, which the checks then say in their own words.
fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
