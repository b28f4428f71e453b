//! The end of a run: its exit code, the list of the lines that failed, and what is left for a later run.

use std::{path::Path, sync::Arc};

use super::failed;
use crate::{
    args::Run,
    exit::{ALL_SUCCEEDED, INTERRUPTED, REFUSED, RESUMABLE, SOME_FAILED, Stop},
    input::Reading,
    output::Earlier,
    same_file::is_same_file,
    say,
    state::State,
    summary::Summary,
};

/// The exit code of a run whose output could be written.
pub(crate) fn code(summary: &Summary, interrupted: bool, has_failures: bool) -> u8 {
    match () {
        () if interrupted => INTERRUPTED,
        () if summary.key_or_money_refused() => REFUSED,
        () if has_failures => SOME_FAILED,
        () if summary.stopped.is_some() => RESUMABLE,
        () => ALL_SUCCEEDED,
    }
}

/// Writes the lines that failed to a file of their own. All answers are in the output by now: if the list cannot be
/// written, a message says so, and the exit code stays.
pub(crate) async fn list_failures(reading: &Arc<Reading>, output: &Path, arguments: &Run) {
    let path = failed::path_of(output);
    // The input may be the list of an earlier run. It is not replaced.
    if !reading.can_be_read_twice() || is_same_file(&arguments.input, &path) {
        return;
    }
    match failed::write(reading, output, &path).await {
        Ok(count) if count > 0 && !arguments.quiet => say::line(format_args!(
            "{count} lines failed; {} has them as they stand in the input. Correct them in the input, and run it again with \
             --retry-failed; or correct them there, and run that file with another --output",
            path.display()
        )),
        Ok(_) => {}
        Err(stop) => say::line(format_args!("outbound: the list of failed lines cannot be written: {stop}")),
    }
}

/// Removes the state after a run without failures, unless an earlier run sent something that still has no answer: this run
/// may have had only a part of the lines.
pub(crate) fn remove_state(state: State, code: u8, earlier: &Earlier, output: &Path) {
    if code != ALL_SUCCEEDED || earlier.has_failures() {
        return;
    }
    let is_settled = |state: &State| Earlier::of_file(output).is_ok_and(|output| state.is_settled(&output));
    if state.has_sent_nothing() || is_settled(&state) {
        state.remove();
    }
}

/// Whether the same command has something left to do.
pub(crate) fn can_go_on(code: u8, wrong: Option<&Stop>) -> bool {
    code != ALL_SUCCEEDED || wrong.is_some()
}

/// Whether the command that goes on sends the failed requests again. A refused key is not their failure.
pub(crate) fn retries_failed(code: u8, has_failures: bool) -> bool {
    has_failures && code != REFUSED
}
