//! `outbound run`: sends a file of requests, and writes a file of answers.

use std::time::Duration;

use self::{
    begin::{Begin, Ready, begin},
    drive::Drive,
};
use crate::{
    args::{ProgressFormat, Run},
    control::{Control, Controlled},
    exit::Stop,
    interrupt::Interrupt,
    plan,
    progress::{How, Progress},
    say, several,
    simulate::{Beside, Mishaps, Simulated},
    summary::Summary,
    watch::Watch,
};

mod begin;
mod drive;
pub(crate) mod end;
mod failed;
mod keys;
mod resume_command;
mod survey;
mod target;

pub(crate) use self::{
    drive::is_for_another_run, failed::path_of as failed_list, resume_command::command as go_on,
    survey::survey, target::Target,
};

pub(crate) async fn run(arguments: Run) -> Result<u8, Stop> {
    if arguments.dry_run {
        return plan::plan(arguments.into()).await;
    }
    let interrupt = Interrupt::listen();
    say::in_json(arguments.reporting.progress == ProgressFormat::Json);
    if arguments.several.store.is_some() {
        return several::run(&arguments, &interrupt).await;
    }
    match begin(&arguments, &interrupt).await? {
        Begin::NothingToSend(code) => Ok(code),
        Begin::Ready(ready) => send(*ready, &arguments, &interrupt).await,
    }
}

/// Sends every line, writes every answer, and says at the end what became of them.
async fn send(ready: Ready, arguments: &Run, interrupt: &Interrupt) -> Result<u8, Stop> {
    let Ready { path, reading, job, target, lines, mut output, earlier, state, sends_again } = ready;
    let watch = Watch::new(arguments.reporting.html.is_some());
    let mut builder = target.builder.observer(watch.clone());
    if let Some(state) = &state {
        builder = builder.seed(state.header.seed).send_log(state.log());
    }
    let manager = builder.build().map_err(|error| Stop::Usage(error.to_string()))?;

    let mut summary = Summary::new(&watch);
    summary.asked = job.as_ref().map(|job| job.requests - job.done);
    summary.output = path.display().to_string();
    let how = How::of(arguments, &path);
    let progress = Progress::start(&manager, &watch, interrupt, summary.asked, how);
    let control = state.as_ref().and_then(|_| {
        let (manager, watch, interrupt) = (manager.clone(), watch.clone(), interrupt.clone());
        let controlled = Controlled { manager, watch, interrupt, of: summary.asked };
        let without =
            |error| say::line(format_args!("this run cannot be controlled with `outbound ctl`: {error}"));
        Control::listen(&path, controlled).map_err(without).ok()
    });
    let beside = match (&target.simulator, &job) {
        (Some((_, plan)), Some(job)) if job.done == 0 => {
            Beside::start(*plan, arguments, &reading, job.requests).await
        }
        _ => None,
    };
    let drive = Drive {
        reading: &reading,
        base_path: &target.base_path,
        manager: &manager,
        interrupt,
        earlier: &earlier,
        state: state.as_ref(),
    };
    let end = drive.run(lines, &mut output, |outcome| summary.add(outcome)).await;
    drop(control);
    let wrong = end.wrong.map_or(Ok(()), Err).and(output.finish());
    manager.shutdown(Duration::ZERO).await;
    progress.finish();
    summary.skipped = end.done_before;
    summary.ended(&manager, interrupt, end.stopped, wrong.as_ref().err());
    // The output also has the failures of earlier runs.
    let has_failures = summary.failed > 0 || end.failed_before > 0;
    let code = end::code(&summary, interrupt.asked(), has_failures);
    if state.is_some() && end::can_go_on(code, wrong.as_ref().err()) {
        summary.go_on = Some(resume_command::command(end::retries_failed(code, has_failures)));
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
    summary.tell(&arguments.reporting, arguments.quiet);
    wrong?;
    if let Some(state) = state {
        // After `sends_again` an earlier list may have lines that succeeded now.
        if has_failures || sends_again {
            end::list_failures(&reading, &path, arguments).await;
        }
        end::remove_state(state, code, &earlier, &path);
    }
    Ok(code)
}
