//! The proof over real processes: the command with `--store`, on a database and a provider of its own, with everything that
//! goes wrong among several machines. A referee that shares no code with the command judges what comes of it.

mod best;
mod database;
mod draw;
mod input;
mod judge;
mod parts;
mod process;
mod proxy;
mod referee;
mod row;
mod trial;
mod wait;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use self::{
    database::Database,
    parts::{PARTS, Part},
    proxy::{Proxy, Target},
    row::Mark,
    trial::Setup,
    wait::{now, pause},
};
use crate::run::{Result, program};

const HELP: &str = "\
cargo xtask machines [--quick] [--seed N] [--outbound FILE] [--keep] [PART ...]

--quick      a small form of each part, about two minutes in all
--seed N     the seed of what goes wrong and when
--outbound   the command that is judged; without it, it is built
--keep       what the processes wrote stays; it does so too where something is wrong

It starts a Postgres cluster of its own. Where there are no programs for that, it uses OUTBOUND_TEST_POSTGRES.
Without a PART all are run:";

struct Arguments<'a> {
    is_quick: bool,
    keeps: bool,
    seed: u64,
    outbound: Option<PathBuf>,
    parts: Vec<&'a Part>,
}

/// Runs the parts. It is an error if something happened that must never happen; a goal that was missed is only printed.
pub(crate) fn machines(arguments: &[String]) -> Result {
    if let [first, listen, target] = arguments
        && first == "hand-on"
    {
        return hand_on(listen, target);
    }
    let arguments = read(arguments)?;
    let folder = std::env::temp_dir().join(format!("outbound-machines-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let result = in_folder(&arguments, &folder);
    let _ = fs::remove_dir_all(folder.join("database"));
    if result.is_err() || arguments.keeps {
        println!("what the processes wrote is in {}", folder.display());
    } else {
        let _ = fs::remove_dir_all(&folder);
    }
    result
}

fn read(arguments: &[String]) -> Result<Arguments<'_>> {
    let mut read = Arguments { is_quick: false, keeps: false, seed: 1, outbound: None, parts: Vec::new() };
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word {
            "--quick" => read.is_quick = true,
            "--keep" => read.keeps = true,
            "--seed" => read.seed = value()?.parse()?,
            "--outbound" => read.outbound = Some(fs::canonicalize(value()?)?),
            name => match PARTS.iter().find(|part| part.name == name) {
                Some(part) => read.parts.push(part),
                None => return Err(help().into()),
            },
        }
    }
    if read.parts.is_empty() {
        // The comparison is no proof.
        read.parts = PARTS.iter().filter(|part| !read.is_quick || part.name != "apart").collect();
    }
    Ok(read)
}

fn help() -> String {
    let parts = PARTS.iter().map(|part| format!("\n  {:<11} {}", part.name, part.about));
    format!("{HELP}{}", parts.collect::<String>())
}

fn in_folder(arguments: &Arguments<'_>, folder: &Path) -> Result {
    let database = match (Database::own(folder)?, std::env::var("OUTBOUND_TEST_POSTGRES")) {
        (Some(own), _) => own,
        (None, Ok(address)) => Database::named(&address, folder)?,
        (None, Err(_)) => {
            println!("skipped: there is no database, and OUTBOUND_TEST_POSTGRES names none");
            return Ok(());
        }
    };
    let outbound = match &arguments.outbound {
        Some(file) => file.clone(),
        None => build(arguments.is_quick)?,
    };
    let Arguments { is_quick, seed, .. } = *arguments;
    let mut setup = Setup { folder: folder.to_owned(), outbound, is_quick, seed, database };
    let mut wrong = Vec::new();
    let began = now();
    for part in &arguments.parts {
        println!("\n{}: {} (seed {seed})", part.name, part.about);
        let started = now();
        match (part.run)(&mut setup) {
            Ok(rows) => {
                for row in &rows {
                    row.print(part.name);
                }
                let violated = rows.iter().filter(|row| row.mark == Mark::Violated);
                wrong.extend(violated.map(|row| format!("{}: {}: {}", part.name, row.what, row.measured)));
            }
            Err(error) => {
                println!("{}: FAILED: {error}", part.name);
                wrong.push(format!("{}: it did not come to its end", part.name));
            }
        }
        println!("{}: {:.0} s", part.name, started.elapsed().as_secs_f64());
    }
    println!("\nall: {:.0} s", began.elapsed().as_secs_f64());
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Builds the command, and gives its file.
fn build(is_quick: bool) -> Result<PathBuf> {
    let mut command = Command::new(program());
    command.args(["build", "--package", "outbound-cli", "--message-format", "json-render-diagnostics"]);
    if !is_quick {
        command.arg("--release");
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the command does not build".into());
    }
    let text = String::from_utf8(output.stdout)?;
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let file = messages
        .filter(|message| message["target"]["name"] == "outbound")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    Ok(file.ok_or("cargo names no file of the command")?)
}

/// A proxy that only hands on, until this process is ended: the way into a network namespace.
fn hand_on(listen: &str, target: &str) -> Result {
    let target = match target.strip_prefix("socket:") {
        Some(path) => Target::Socket(path.into()),
        None => Target::Tcp(target.to_owned()),
    };
    let proxy = Proxy::listen(listen, target, None)?;
    println!("listens on {}", proxy.address);
    // Its caller ends it. If the caller is gone, it ends by itself.
    for _ in 0..600 {
        pause(Duration::from_secs(1));
    }
    Ok(())
}
