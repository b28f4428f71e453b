//! Puts the lines of the input into the batch. What is there already stays as it is.

use std::{pin::pin, sync::Arc};

use futures::StreamExt;
use outbound::work::{Pushed, Work, WorkStore};
use outbound_postgres::{PostgresBatch, PostgresWork};

use super::store::{Reach, failed};
use crate::{
    exit::Stop,
    identity::Digest,
    input::{Payload, Reading},
};

/// This many lines are put with one call.
const AT_ONCE: usize = 1_000;

/// A line whose id was put into the batch before with another content, by its id.
struct Known {
    custom_id: Arc<str>,
    line: u64,
    request: Digest,
}

/// Where the lines go.
pub(super) struct Load<'a> {
    pub(super) reading: &'a Arc<Reading>,
    pub(super) work: &'a PostgresWork,
    pub(super) batch: &'a PostgresBatch,
    pub(super) reach: &'a Reach,
}

impl Load<'_> {
    /// Puts all lines, and returns how many are done already.
    ///
    /// # Errors
    ///
    /// Where another request is in the batch under the id of a line.
    pub(super) async fn all(&self) -> Result<u64, Stop> {
        let mut done = 0;
        let mut lines = pin!(self.reading.lines().await?.chunks(AT_ONCE));
        while let Some(some) = lines.next().await {
            let (mut work, mut known) = (Vec::with_capacity(some.len()), Vec::with_capacity(some.len()));
            for line in some {
                let (id, payload) = line?.into_payload();
                let custom_id = Arc::from(id);
                known.push(Known {
                    custom_id: Arc::clone(&custom_id),
                    line: payload.line,
                    request: payload.request,
                });
                let bytes = serde_json::to_vec(&payload).map_err(|error| Stop::Input(error.to_string()))?;
                work.push(Work::new(custom_id, bytes).priority(priority(&payload)));
            }
            let pushed = self.reach.during(self.work.push(work)).await.map_err(|error| failed(&error))?;
            done += pushed.iter().filter(|pushed| **pushed == Pushed::Done).count() as u64;
            let changed = pushed.iter().zip(known).filter(|(pushed, _)| **pushed == Pushed::Changed);
            self.compare(changed.map(|(_, known)| known).collect()).await?;
        }
        Ok(done)
    }

    /// Only what is sent counts: a line may stand in another place now.
    async fn compare(&self, lines: Vec<Known>) -> Result<(), Stop> {
        if lines.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = lines.iter().map(|line| Arc::clone(&line.custom_id)).collect();
        let pushed = self.reach.during(self.batch.pushed(&ids)).await.map_err(|error| failed(&error))?;
        for Known { custom_id, line, request } in lines {
            let first = pushed.iter().find(|(id, _)| **id == *custom_id.as_bytes());
            let first = first.and_then(|(_, payload)| serde_json::from_slice::<Payload>(payload).ok());
            if first.is_none_or(|first| first.request != request) {
                return Err(Stop::Input(format!(
                    "{}, line {line}: `custom_id` {custom_id:?} is in the batch, but the line has changed since then; to have both \
                     answers, give the line another id. Or give another --name to begin anew",
                    self.reading.name()
                )));
            }
        }
        Ok(())
    }
}

fn priority(payload: &Payload) -> i16 {
    i16::try_from(payload.priority()).unwrap_or(if payload.priority() < 0 { i16::MIN } else { i16::MAX })
}
