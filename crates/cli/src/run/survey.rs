//! Reading the input through before anything is sent: a mistake on the last line costs nothing then.

use std::{collections::BTreeSet, pin::pin, sync::Arc};

use futures::StreamExt;

use crate::{
    exit::Stop,
    identity::Digest,
    input::{Line, Reading},
    output::{Changed, Earlier, State},
};

/// What a job is made of.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) requests: u64,
    /// Those that have an answer of an earlier run, or failed in it for good.
    pub(super) done: u64,
    /// Those of them that failed.
    pub(super) failed: u64,
    pub(super) tokens: u64,
    /// Those that failed before, and are sent again.
    pub(super) again: BTreeSet<Digest>,
}

/// Reads the input through, if it can be read twice.
pub(super) async fn survey(reading: &Arc<Reading>, earlier: &Earlier) -> Result<Option<Job>, Stop> {
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
            "none of the {} lines in the output belongs to {}: it is another input's. Give another --output, or --fresh to \
             begin anew (the file is kept under another name)",
            earlier.len(),
            reading.name()
        )));
    }
    Ok(Some(job))
}

/// What an earlier run made of a line, of which these are the digests.
///
/// # Errors
///
/// Where its body is not what was sent then.
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
            State::Answered => ("was answered", "give the line another id to have both answers"),
            State::Failed => ("failed", "--retry-failed sends the line as it is now"),
        };
        Stop::Input(format!(
            "{}, line {}: `custom_id` {:?} {what} in an earlier run, and what it would send now is something else; {hint}, \
             another --output keeps the two apart, or --fresh begins anew",
            reading.name(),
            line.number,
            line.custom_id
        ))
    })
}
