//! `apart`: the four processes of `quota` without a store, each with a quarter of the input. They know nothing of each other, so
//! that each is told the whole quota, or a quarter of it.

use std::fs;

use super::quota::{AT_ONCE, LIMIT, PROCESSES, of, size};
use crate::{
    machines::{
        best::{Quota, best},
        input,
        process::Running,
        referee::Referee,
        row::Row,
        trial::{KEY, Setup},
        wait::now,
    },
    run::Result,
};

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (told, share) in [("the whole quota", 1), ("a quarter", 4)] {
        let (goodput, refused) = together(setup, share)?;
        rows.push(Row::figure(&format!("E where each is told {told}"), goodput));
        rows.push(Row::figure("refused for the quota, of 1,000", format!("{refused:.1}")));
    }
    Ok(rows)
}

fn together(setup: &Setup, share: u64) -> Result<(String, f64)> {
    let (manners, count) = size(setup);
    let folder = setup.folder.join(format!("apart-{share}"));
    fs::create_dir_all(&folder)?;
    let input = folder.join("in.jsonl");
    let items = input::write(&input, count)?;
    let text = fs::read_to_string(&input)?;
    let lines: Vec<&str> = text.lines().collect();
    let referee = Referee::start(setup.command(), &folder, manners, count)?;
    let Quota { requests, tokens } = manners.quota;
    let began = now();
    let mut workers = Vec::new();
    for (number, lines) in lines.chunks(count.div_ceil(PROCESSES)).enumerate() {
        let input = folder.join(format!("in-{number}.jsonl"));
        fs::write(&input, lines.join("\n"))?;
        let mut command = setup.command();
        command.arg("run").arg(&input).arg("-o").arg(folder.join(format!("out-{number}.jsonl")));
        command.args(["--base-url", &referee.url, "--key-env", KEY.0]);
        command.args(["--attempt-timeout", &manners.attempt_timeout.to_string()]);
        command.args(["--rpm", &(requests / share).to_string(), "--tpm", &(tokens / share).to_string()]);
        workers.push(Running::start(&format!("worker-{number}"), command, &folder)?);
    }
    for mut worker in workers {
        worker.wait(LIMIT)?;
    }
    let time = began.elapsed().as_secs_f64();
    let sends = referee.end()?;
    let reference = best(&items, &sends, manners.quota, PROCESSES * AT_ONCE);
    let refused = sends.iter().filter(|send| send.is_over_quota()).count();
    Ok((of(reference / time, reference, time), refused as f64 * 1_000.0 / count as f64))
}
