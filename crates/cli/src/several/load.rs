//! Puts the lines of the input into the batch. What is there already stays as it is.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use outbound::work::{Pushed, Work, WorkStore};
use outbound_postgres::{Load as Turn, PostgresBatch, PostgresWork};
use tokio::time::sleep;

use super::store::{Reach, failed};
use crate::{
    exit::Stop,
    identity::Digest,
    input::{Payload, Reading},
};

/// This many lines are put with one call.
const AT_ONCE: usize = 1_000;

/// After this time without a sign of the machine that puts the lines another one goes on.
const TURN: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);

/// A line whose id was put into the batch before with another content, by its id.
struct Known {
    custom_id: Arc<str>,
    line: u64,
    request: Digest,
}

/// Where the lines go.
pub(super) struct Load<'a> {
    pub(super) reading: &'a Arc<Reading>,
    /// The digest of the whole input.
    pub(super) input: Digest,
    pub(super) work: &'a PostgresWork,
    pub(super) batch: &'a PostgresBatch,
    pub(super) reach: &'a Reach,
}

impl Load<'_> {
    /// Puts all lines, unless this very input was put before. Of many machines that start at once one does it.
    ///
    /// # Errors
    ///
    /// Where another request is in the batch under the id of a line.
    pub(super) async fn all(&self) -> Result<(), Stop> {
        while self.may_push().await? == Turn::Wait {
            sleep(AGAIN).await;
        }
        let mut lines = pin!(self.reading.lines().await?.chunks(AT_ONCE));
        // Before each part, so that the others do not take over.
        while self.may_push().await? != Turn::Done {
            let Some(some) = lines.next().await else {
                return self
                    .reach
                    .during(self.batch.loaded(self.input.0))
                    .await
                    .map_err(|error| failed(&error));
            };
            let (mut work, mut known) = (Vec::with_capacity(some.len()), Vec::with_capacity(some.len()));
            for line in some {
                let (id, payload) = line?.into_payload();
                let custom_id = Arc::from(id);
                let bytes = serde_json::to_vec(&payload).map_err(|error| Stop::Input(error.to_string()))?;
                work.push(Work::new(Arc::clone(&custom_id), bytes).priority(priority(&payload)));
                known.push(Known { custom_id, line: payload.line, request: payload.request });
            }
            let pushed = self.reach.during(self.work.push(work)).await.map_err(|error| failed(&error))?;
            let changed = pushed.iter().zip(known).filter(|(pushed, _)| **pushed == Pushed::Changed);
            self.compare(changed.map(|(_, known)| known).collect()).await?;
        }
        Ok(())
    }

    async fn may_push(&self) -> Result<Turn, Stop> {
        self.reach.during(self.batch.load(self.input.0, TURN)).await.map_err(|error| failed(&error))
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
