//! Reads the whole input before anything is sent, so that a mistake on the last line costs nothing.

use std::{collections::BTreeSet, pin::pin, sync::Arc};

use futures::StreamExt;

use crate::{
    exit::Stop,
    identity::Digest,
    input::{Line, Reading},
    output::{Changed, Earlier, State},
};

/// What an input asks for, and what earlier runs have done of it.
#[derive(Debug, Default)]
pub(crate) struct Job {
    pub(crate) requests: u64,
    /// Requests that have an answer or a failure of an earlier run.
    pub(super) done: u64,
    /// Requests among those that failed.
    pub(super) failed: u64,
    pub(crate) tokens: u64,
    /// Requests that failed before and are sent again.
    pub(super) again: BTreeSet<Digest>,
}

/// Reads the whole input, if it can be read twice.
pub(crate) async fn survey(reading: &Arc<Reading>, earlier: &Earlier) -> Result<Option<Job>, Stop> {
    if !reading.can_be_read_twice() {
        return Ok(None);
    }
    let mut job = Job::default();
    let mut lines = pin!(reading.lines().await?);
    while let Some(line) = lines.next().await {
        let line = line?;
        let estimate = line.check()?.estimate;
        job.requests += 1;
        let id = Digest::of_id(&line.custom_id);
        if earlier.is_sent_again(id) {
            job.again.insert(id);
        }
        let known = known(&line, id, line.fingerprint(), earlier, reading)?;
        job.done += u64::from(known.is_some());
        job.failed += u64::from(known == Some(State::Failed));
        job.tokens = job.tokens.saturating_add(estimate.input).saturating_add(estimate.output);
    }
    reading.was_read();
    if job.requests > 0 && job.done == 0 && job.again.is_empty() && earlier.len() > 0 {
        return Err(Stop::Output(format!(
            "none of the {} lines in the output belongs to {}: it is the output of another input. Give another --output, or \
             use --fresh to begin anew (the old file is kept under another name)",
            earlier.len(),
            reading.name()
        )));
    }
    Ok(Some(job))
}

/// What an earlier run did with a line. `id` and `request` are the digests of the line.
///
/// # Errors
///
/// Where the earlier run sent something else under the same id.
pub(super) fn known(
    line: &Line,
    id: Digest,
    request: Digest,
    earlier: &Earlier,
    reading: &Reading,
) -> Result<Option<State>, Stop> {
    let known = earlier.of(id, request);
    known.map_err(|Changed(state)| {
        let (what, hint) = match state {
            State::Answered => ("was answered", "to have both answers, give the line another id"),
            State::Failed => ("failed", "to send the line as it is now, use --retry-failed"),
        };
        Stop::Input(format!(
            "{}, line {}: `custom_id` {:?} {what} in an earlier run, but the line has changed since then; {hint}. Or give \
             another --output, or use --fresh to begin anew",
            reading.name(),
            line.number,
            line.custom_id
        ))
    })
}
