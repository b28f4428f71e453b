//! The beginning of a run: everything that can go wrong before anything is sent.

use std::{
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{StreamExt, stream::BoxStream};

use super::{
    failed,
    survey::{self, Job},
    target::Target,
};
use crate::{
    args::Run,
    exit::{ALL_SUCCEEDED, SOME_FAILED, Stop},
    input::{Line, Reading},
    interrupt::Interrupt,
    output::{self, Earlier, Existing, Found, Output},
    same_file::is_same_file,
    say,
    state::{Header, State},
};

/// What the beginning of a run comes to.
pub(super) enum Begin {
    Ready(Box<Ready>),
    /// Every line has its answer already; the exit code that says so.
    NothingToSend(u8),
}

/// A run that can send its first request.
pub(super) struct Ready {
    pub(super) path: PathBuf,
    pub(super) reading: Arc<Reading>,
    /// `None` where the input cannot be read twice.
    pub(super) job: Option<Job>,
    pub(super) target: Target,
    pub(super) lines: BoxStream<'static, Result<Line, Stop>>,
    pub(super) output: Output,
    pub(super) earlier: Earlier,
    /// Only where a later run can go on.
    pub(super) state: Option<State>,
    /// Some requests failed in an earlier run, and are sent again.
    pub(super) sends_again: bool,
}

pub(super) async fn begin(arguments: &Run, interrupt: &Interrupt) -> Result<Begin, Stop> {
    let path = output_path(arguments)?;
    arguments.reporting.check(&[&arguments.input, &path, &failed::path_of(&path)])?;
    let (provider, base_url) = (arguments.provider, arguments.base_url.as_deref());
    let reading = Reading::new(&arguments.input, &arguments.forms, arguments.part, provider, base_url);
    let reading = interrupt.ends(reading).await?;
    let existing = existing(arguments);
    let mut found = Found::look(&path, existing)?;
    let job = interrupt.ends(survey::survey(&reading, &found.earlier)).await?;
    if let Some(code) = job.as_ref().and_then(|job| nothing_to_send(job, &path, arguments)) {
        return Ok(Begin::NothingToSend(code));
    }
    if let Some(job) = &job {
        found.earlier.only_these_again(&job.again);
    }
    let sends_again = found.earlier.has_lines_to_drop();
    let mut target = Target::of(arguments, job.as_ref()).await?;
    // The input is opened before the output is changed: a run that cannot begin changes nothing.
    let lines = interrupt.ends(reading.lines()).await?.boxed();
    let can_be_resumed = found.can_be_resumed() && existing != Existing::Fresh { keep: false };
    // Opening a named pipe blocks until somebody reads from it.
    let begun = tokio::task::spawn_blocking({
        let fsync = arguments.fsync;
        move || found.begin(fsync)
    });
    let begun = async { begun.await.map_err(|error| Stop::Output(error.to_string()))? };
    let (mut output, earlier) = interrupt.ends(begun).await?;
    output.hide(std::mem::take(&mut target.keys));
    if let Some(kept) = output.kept.as_ref().filter(|_| !arguments.quiet) {
        say::line(format_args!("the old output is kept as {}", kept.display()));
    }
    let state = if can_be_resumed {
        // Random, so that no two runs share their idempotency keys.
        let seed = RandomState::new().hash_one(std::process::id());
        let header = Header { seed, simulated: arguments.simulate };
        Some(State::open(&path, arguments.fsync, existing, &earlier, header)?)
    } else {
        None
    };
    let ready = Ready { path, reading, job, target, lines, output, earlier, state, sends_again };
    Ok(Begin::Ready(Box::new(ready)))
}

fn output_path(arguments: &Run) -> Result<PathBuf, Stop> {
    let path = arguments.output.clone();
    let path = path.unwrap_or_else(|| output::default_path(&arguments.input, arguments.simulate));
    if is_same_file(&arguments.input, &path) {
        let path = path.display();
        return Err(Stop::Usage(format!(
            "{path} is both the input and the output; name another file with --output"
        )));
    }
    Ok(path)
}

fn existing(arguments: &Run) -> Existing {
    match () {
        // The answers of a demonstration cost nothing: they are not kept.
        () if arguments.simulate && arguments.output.is_none() => Existing::Fresh { keep: false },
        () if arguments.fresh => Existing::Fresh { keep: true },
        () if arguments.retry_failed => Existing::RetryFailed,
        () => Existing::Resume,
    }
}

/// The exit code of a run whose every line is done already.
fn nothing_to_send(job: &Job, path: &Path, arguments: &Run) -> Option<u8> {
    if job.requests == 0 || job.done < job.requests {
        return None;
    }
    let failed = job.failed > 0;
    if !arguments.quiet {
        let hint = if failed { ". Some of them failed: --retry-failed sends those again" } else { "" };
        let (done, path) = (job.done, path.display());
        say::line(format_args!("nothing to send: all {done} lines have their answer in {path}{hint}"));
    }
    Some(if failed { SOME_FAILED } else { ALL_SUCCEEDED })
}
