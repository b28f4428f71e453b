//! Instructions for one round of a case, as callgrind counts them.
//!
//! The program runs itself under valgrind twice, with two numbers of rounds; the difference, over the rounds, is free of
//! start-up. Counts do not depend on the machine's load, so they can gate where times cannot.

use std::process::Command;

/// What a case is counted over, where nothing speaks for other numbers.
pub const ROUNDS: [u64; 2] = [2_000, 12_000];

const RUN: &str = "--run";

/// The case, and the number of its rounds, that this process was started to run by [`per_round`]. To be asked first.
pub fn asked() -> Option<(String, u64)> {
    let mut arguments = std::env::args().skip_while(|argument| argument != RUN).skip(1);
    let case = arguments.next()?;
    Some((case, arguments.next()?.parse().expect("a number of rounds")))
}

/// Whether valgrind is there.
pub fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok()
}

/// Instructions for one round of a case.
pub fn per_round(case: &str, rounds: [u64; 2]) -> f64 {
    let [few, many] = rounds.map(|rounds| instructions(case, rounds));
    (many as f64 - few as f64) / (rounds[1] - rounds[0]) as f64
}

fn instructions(case: &str, rounds: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("this program"))
        .args([RUN, case, &rounds.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).expect("a count")
}
