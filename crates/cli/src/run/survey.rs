//! Reading the input through before anything is sent: a mistake on the last line costs nothing then.

use std::{path::Path, pin::pin};

use futures::StreamExt;
use outbound::Provider;

use crate::{
    exit::Stop,
    identity::Digest,
    input::{self, Line},
    output::{Changed, Earlier, State},
};

/// What a job is made of.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) requests: u64,
    /// Those that have an answer of an earlier run, or failed in it for good.
    pub(super) done: u64,
    pub(super) tokens: u64,
}

/// Reads the input through, if it can be read twice.
pub(super) async fn survey(input: &Path, earlier: &Earlier) -> Result<Option<Job>, Stop> {
    if input.as_os_str() == "-" || (input.exists() && !input.is_file()) {
        return Ok(None);
    }
    let mut job = Job::default();
    let mut lines = pin!(input::lines(input::open(input).await?, input));
    while let Some(line) = lines.next().await {
        let line = line?;
        let facts = Provider::openai().read_request(line.body.get().as_bytes());
        let facts = facts
            .map_err(|error| Stop::Input(format!("{}, line {}: {error}", input.display(), line.number)))?;
        job.requests += 1;
        job.done += u64::from(known(&line, earlier, input)?.is_some());
        job.tokens = job.tokens.saturating_add(facts.estimate.input).saturating_add(facts.estimate.output);
    }
    if job.requests > 0 && job.done == 0 && earlier.len() > 0 {
        return Err(Stop::Output(format!(
            "none of the {} lines in the output belongs to {}: it is another input's. Give another --output, or --fresh to \
             begin anew (the file is kept under another name)",
            earlier.len(),
            input.display()
        )));
    }
    Ok(Some(job))
}

/// What an earlier run made of a line.
///
/// # Errors
///
/// Where its body is not what was sent then.
pub(super) fn known(line: &Line, earlier: &Earlier, input: &Path) -> Result<Option<State>, Stop> {
    let known = earlier.of(Digest::of_id(&line.custom_id), Digest(line.fingerprint()));
    known.map_err(|Changed(state)| {
        let (what, hint) = match state {
            State::Answered => ("was answered", "give the line another id to have both answers"),
            State::Failed => ("failed", "--retry-failed sends the line as it is now"),
        };
        Stop::Input(format!(
            "{}, line {}: `custom_id` {:?} {what} in an earlier run, and what it would send now is something else; {hint}, \
             or --fresh begins anew",
            input.display(),
            line.number,
            line.custom_id
        ))
    })
}
