//! `outbound run`: a file of requests in, a file of answers out.

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
    time::Duration,
};

use self::{drive::Drive, survey::Job, target::Target};
use crate::{
    args::{HowTold, Run},
    control::{Control, Controlled},
    exit::{ALL_SUCCEEDED, INTERRUPTED, REFUSED, RESUMABLE, SOME_FAILED, Stop},
    input::Reading,
    interrupt::Interrupt,
    output::{self, Earlier, Existing, Found},
    plan,
    progress::{How, Progress},
    say,
    simulate::{Beside, Mishaps, Simulated},
    state::{Header, State},
    summary::Summary,
    watch::Watch,
};

mod drive;
mod failed;
mod go_on;
mod keys;
mod survey;
mod target;

pub(crate) use self::drive::is_for_another_run;

pub(crate) async fn run(arguments: Run) -> Result<u8, Stop> {
    if arguments.dry_run {
        return plan::plan(arguments.into()).await;
    }
    let interrupt = Interrupt::listen();
    say::in_json(arguments.telling.progress == HowTold::Json);
    let path = arguments
        .output
        .clone()
        .unwrap_or_else(|| output::default_path(&arguments.input, arguments.simulate));
    if is_same_file(&arguments.input, &path) {
        return Err(Stop::Usage(format!(
            "{} is the input and the output: --output names another file",
            path.display()
        )));
    }
    arguments.telling.check(&[&arguments.input, &path, &failed::path_of(&path)])?;
    let (provider, base_url) = (arguments.provider, arguments.base_url.as_deref());
    let reading = Reading::new(&arguments.input, &arguments.forms, arguments.part, provider, base_url);
    let reading = interrupt.ends(reading).await?;
    let existing = existing(&arguments);
    let mut found = Found::look(&path, existing)?;
    let job = interrupt.ends(survey::survey(&reading, &found.earlier)).await?;
    if let Some(code) = job.as_ref().and_then(|job| nothing_to_send(job, &path, &arguments)) {
        return Ok(code);
    }
    if let Some(job) = &job {
        found.earlier.only_these_again(&job.again);
    }
    let sends_again = found.earlier.has_lines_to_drop();
    let target = Target::of(&arguments, job.as_ref()).await?;
    // The input first: nothing is replaced for a run that cannot begin.
    let lines = interrupt.ends(reading.lines()).await?;
    let can_be_resumed = found.can_be_resumed() && existing != Existing::Fresh { keep: false };
    // A named pipe waits for its reader.
    let begun = tokio::task::spawn_blocking(move || found.begin(arguments.fsync));
    let begun = async { begun.await.map_err(|error| Stop::Output(error.to_string()))? };
    let (mut output, earlier) = interrupt.ends(begun).await?;
    output.hide(target.keys);
    if let Some(kept) = output.kept.as_ref().filter(|_| !arguments.quiet) {
        say::line(format_args!("the output that was there is kept as {}", kept.display()));
    }
    let state = if can_be_resumed {
        // No two runs have the same one.
        let seed = RandomState::new().hash_one(std::process::id());
        let header = Header { seed, simulated: arguments.simulate };
        Some(State::open(&path, arguments.fsync, existing, &earlier, header)?)
    } else {
        None
    };
    let watch = Watch::new(arguments.telling.html.is_some());
    let mut builder = target.builder.observer(watch.clone());
    if let Some(state) = &state {
        builder = builder.seed(state.header.seed).send_log(state.log());
    }
    let manager = builder.build().map_err(|error| Stop::Usage(error.to_string()))?;

    let mut summary = Summary::new(&watch);
    summary.asked = job.as_ref().map(|job| job.requests - job.done);
    summary.output = path.display().to_string();
    let how = How::of(&arguments, &path);
    let progress = Progress::start(&manager, &watch, &interrupt, summary.asked, how);
    let control = state.as_ref().and_then(|_| {
        let (manager, watch, interrupt) = (manager.clone(), watch.clone(), interrupt.clone());
        let controlled = Controlled { manager, watch, interrupt, of: summary.asked };
        let without = |error| say::line(format_args!("it cannot be controlled with `outbound ctl`: {error}"));
        Control::listen(&path, controlled).map_err(without).ok()
    });
    let beside = match (&target.simulator, &job) {
        (Some((_, plan)), Some(job)) if job.done == 0 => {
            Beside::start(*plan, &arguments, &reading, job.requests).await
        }
        _ => None,
    };
    let drive = Drive {
        reading: &reading,
        base_path: &target.base_path,
        manager: &manager,
        interrupt: &interrupt,
        earlier: &earlier,
        state: state.as_ref(),
    };
    let end = drive.run(lines, &mut output, |outcome| summary.add(outcome)).await;
    drop(control);
    let wrong = end.wrong.map_or(Ok(()), Err).and(output.finish());
    manager.shutdown(Duration::ZERO).await;
    progress.finish();
    summary.skipped = end.done_before;
    summary.ended(&manager, &interrupt, end.stopped, wrong.as_ref().err());
    // Those of the runs before are in the output, too.
    let has_failures = summary.failed > 0 || end.failed_before > 0;
    let code = match () {
        () if interrupt.asked() => INTERRUPTED,
        () if summary.key_or_money_refused() => REFUSED,
        () if has_failures => SOME_FAILED,
        () if summary.stopped.is_some() => RESUMABLE,
        () => ALL_SUCCEEDED,
    };
    if can_be_resumed && (code != ALL_SUCCEEDED || wrong.is_err()) {
        summary.go_on = Some(go_on::command(has_failures && code != REFUSED));
    }
    drop(manager);
    if let Some((simulator, _)) = target.simulator {
        let provider = Mishaps::of(&simulator);
        simulator.shutdown().await;
        let usual_loop = match beside {
            Some(beside) if !interrupt.asked() => beside.end().await,
            _ => None,
        };
        summary.simulated = Some(Simulated { provider, usual_loop });
    }
    summary.tell(&arguments.telling, arguments.quiet);
    wrong?;
    // What failed before and is sent again is in an earlier list.
    if (has_failures || sends_again) && can_be_resumed && reading.can_be_read_twice() {
        // The answers are safe by now: a list that cannot be made is said, and changes nothing.
        if let Err(stop) = list_failures(&reading, &path, &arguments).await {
            say::line(format_args!("outbound: the failed lines are not listed: {stop}"));
        }
    }
    if let Some(state) = state.filter(|_| code == ALL_SUCCEEDED && !earlier.has_failures())
        && has_nothing_left(&state, &path)
    {
        state.remove();
    }
    Ok(code)
}

/// Whether nothing of what earlier runs sent is still without an answer. This run may have had a part of the lines only.
fn has_nothing_left(state: &State, output: &Path) -> bool {
    state.has_sent_nothing() || Earlier::of_file(output).is_ok_and(|output| state.is_settled(&output))
}

/// What is done with an output that holds something.
fn existing(arguments: &Run) -> Existing {
    match () {
        // A demonstration. Nothing of it was paid for.
        () if arguments.simulate && arguments.output.is_none() => Existing::Fresh { keep: false },
        () if arguments.fresh => Existing::Fresh { keep: true },
        () if arguments.retry_failed => Existing::RetryFailed,
        () => Existing::Resume,
    }
}

/// Puts the lines that failed in a file of their own.
async fn list_failures(reading: &Arc<Reading>, output: &Path, arguments: &Run) -> Result<(), Stop> {
    // They may be the input itself, to be run again.
    if is_same_file(&arguments.input, &failed::path_of(output)) {
        return Ok(());
    }
    let (count, path) = failed::write(reading, output).await?;
    if !arguments.quiet && count > 0 {
        say::line(format_args!(
            "{count} failed lines stand as in the input in {}: mend them in the input and run with --retry-failed, or mend \
             them there and run that file with an --output of its own",
            path.display()
        ));
    }
    Ok(())
}

/// The exit code of a run whose every line is done already.
fn nothing_to_send(job: &Job, path: &Path, arguments: &Run) -> Option<u8> {
    if job.requests == 0 || job.done < job.requests {
        return None;
    }
    let failed = job.failed > 0;
    if !arguments.quiet {
        let hint = if failed { ". Some have failed: --retry-failed sends those again" } else { "" };
        let (done, path) = (job.done, path.display());
        say::line(format_args!("nothing to send: all {done} lines have their answer in {path}{hint}"));
    }
    Some(if failed { SOME_FAILED } else { ALL_SUCCEEDED })
}

/// Whether two paths name one file that is there, be it by a link.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => (one == other && one.is_file()) || is_hard_link(&one, &other),
        _ => false,
    }
}

#[cfg(unix)]
fn is_hard_link(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// The standard library has no stable way to ask there.
#[cfg(not(unix))]
fn is_hard_link(_one: &Path, _other: &Path) -> bool {
    false
}
