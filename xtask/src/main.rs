//! The project's chores: `cargo xtask TASK`. CI is the task `ci`.
#![forbid(unsafe_code)]

mod api;
mod chart;
mod deny;
mod examples;
mod machines;
mod package;
mod quick;
mod results;
mod run;
mod svg;
mod tidy;

use std::process::ExitCode;

use crate::{
    examples::examples,
    run::{Result, cargo, section, succeeds},
};

const HELP: &str = "\
cargo xtask TASK

  quick     tidy, format, clippy and tests of the crates that differ from the last commit, or of those named after it
  ci        everything that must hold before a change lands (what .ci/run calls)
  tidy      what prose claims against source: arrows, links, features, examples, names, lengths, circles, readmes
  readmes   writes each crate's README.md from its page
  api       writes each crate's public API to its api.txt; `--check` compares
  package   makes the package of each crate and looks into it
  deny      licences, sources and bans of all dependencies, where cargo-deny is installed
  alone     each crate checked by itself, each feature of the facade by itself
  examples  every example, and whether it prints what examples/README.md says; with --write the page says it from then on
  job       the main job on a small file
  fuzz      what reads text from outside, a hundred times as long as with the tests (OUTBOUND_FUZZ says how many times)
  loom      the models of the lock-free and wake-up code
  goodput   how near a batch comes to what its quota allows; `ci` runs a small part of it
  chart     the chart of README.md, from a run; --check compares the committed files with one
  machines  the command with a store, over processes that are killed, cut off and stopped; --quick, --seed N, or a PART
  miri      the intrusive list under Miri, where the toolchain has it
  results   measures all of it and writes benches/RESULTS.md; --quick, --only TOPIC, --page, --check
  peers     ours measured beside every peer, in a workspace of its own; not part of ci
";

/// The commands the README promises. `tidy` checks that it still does.
const MAIN_JOB: &str = "cargo run --release -- run --simulate examples/data/prompts.jsonl";
const TESTS: &str = "cargo test --workspace";

fn main() -> ExitCode {
    if let Some(code) = api::as_rustdoc() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = arguments.first().map_or("", String::as_str);
    let checking = arguments.get(1).is_some_and(|option| option == "--check");
    let result = match task {
        "quick" => quick::quick(&arguments[1..]),
        "ci" => ci(),
        "tidy" => tidy::tidy(),
        "readmes" => tidy::readmes::write(),
        "api" if checking => api::check(),
        "api" => api::write(),
        "package" => package::package(),
        "deny" => deny::deny(),
        "alone" => alone(),
        "examples" => examples(),
        "job" => job(),
        "fuzz" => fuzz(),
        "loom" => loom(),
        "goodput" => cargo(&["bench", "--package", "outbound-benches", "--bench", "goodput"]),
        "chart" => chart::chart(std::env::args().any(|argument| argument == "--check")),
        "machines" => machines::machines(&arguments[1..]),
        "miri" => miri(),
        "peers" => cargo(&["run", "--release", "--manifest-path", "benches/peers/Cargo.toml"]),
        "results" => results::results(std::env::args().skip(2)),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Continuous integration, in the order in which a mistake is cheapest to find.
fn ci() -> Result {
    section("tidy", tidy::tidy)?;
    section("format", || cargo(&["fmt", "--all", "--check"]))?;
    section("results page", || results::results(std::iter::once(String::from("--check"))))?;
    section("dependencies", deny::deny)?;
    section("packages", package::package)?;
    section("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    section("tests", || run::command(TESTS))?;
    section("documentation", || {
        run::cargo_with(&[("RUSTDOCFLAGS", "-D warnings")], &["doc", "--workspace", "--no-deps"])
    })?;
    section("public API", api::check)?;
    section("examples", examples)?;
    section("benches compile", || cargo(&["bench", "--workspace", "--no-run", "--profile", "dev"]))?;
    section("goodput, a part", goodput)?;
    section("chart", || chart::chart(true))?;
    section("main job", job)?;
    section("loom", loom)?;
    section("alone", alone)?;
    section("miri", miri)
}

/// Workspace builds unify features; users' builds do not.
fn alone() -> Result {
    for package in tidy::library_packages() {
        cargo(&["check", "--quiet", "--package", &package])?;
    }
    for feature in tidy::features("outbound")? {
        let features = ["--no-default-features", "--features", &feature];
        cargo(&[&["check", "--quiet", "--package", "outbound"], features.as_slice()].concat())?;
    }
    Ok(())
}

fn job() -> Result {
    let output = std::env::temp_dir().join(format!("outbound-job-{}.jsonl", std::process::id()));
    let output = output.to_string_lossy().into_owned();
    let result = run::command(&format!("{MAIN_JOB} -o {output}")).and_then(|()| {
        let asked = std::fs::read_to_string("examples/data/prompts.jsonl")?.lines().count();
        let answered = std::fs::read_to_string(&output)?.lines().count();
        if asked == answered { Ok(()) } else { Err(format!("{answered} answers to {asked} requests").into()) }
    });
    let _ = std::fs::remove_file(&output);
    result
}

/// The bench runs, and every item has its answer: a figure has to be measured with the release profile. The limiter alone
/// holds its gates against five kinds of server, with others on the key and without.
fn goodput() -> Result {
    let bench = |name| ["bench", "--package", "outbound-benches", "--profile", "dev", "--bench", name, "--"];
    cargo(&[&bench("goodput")[..], &["--smoke", "--variant", "AD", "--seeds", "1"]].concat())?;
    cargo(&[&bench("limiter")[..], &["simulation"]].concat())
}

/// A small part of it runs with the tests.
fn fuzz() -> Result {
    let times = std::env::var("OUTBOUND_FUZZ").unwrap_or_else(|_| String::from("100"));
    let packages = ["--package", "outbound-client", "--package", "outbound-provider"];
    let test =
        [&["test", "--release", "--all-features"], packages.as_slice(), &["--test", "it", "--", "fuzz::"]];
    run::cargo_with(&[("OUTBOUND_FUZZ", &times)], &test.concat())
}

fn loom() -> Result {
    let environment = [
        ("RUSTFLAGS", "--cfg outbound_loom"),
        ("LOOM_MAX_PREEMPTIONS", "2"),
        ("CARGO_TARGET_DIR", "target/loom"),
    ];
    for package in ["outbound-waitlist", "outbound-retry", "outbound-limiter", "outbound-queue"] {
        run::cargo_with(&environment, &["test", "--release", "--package", package, "--lib"])?;
    }
    Ok(())
}

fn miri() -> Result {
    if !succeeds("cargo", &["+nightly", "miri", "--version"]) {
        println!("skipped: no toolchain here has Miri");
        return Ok(());
    }
    cargo(&["+nightly", "miri", "test", "--package", "outbound-waitlist"])
}
