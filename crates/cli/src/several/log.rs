//! Records in the batch that requests are sent, before their first byte leaves.
//!
//! All that are about to be sent while one call is under way go into the next call.

use std::{error, sync::Arc};

use outbound::{
    SendLog, Sending, Withdrawn, Written,
    work::{Lease, WorkError, WorkStore},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{claims::Claims, store::Reach};

/// At most this many go into one call.
const AT_ONCE: usize = 1_000;

/// One request that is about to be sent, and who waits for it.
struct Waiter {
    lease: Lease,
    recorded: oneshot::Sender<Result<(), NotRecorded>>,
}

/// Why a request may not be sent.
#[derive(Debug, Clone)]
enum NotRecorded {
    /// Its lease has ended.
    Stale,
    Failed(String),
}

/// The log of a manager.
pub(super) struct Log {
    claims: Claims,
    waiters: mpsc::UnboundedSender<Waiter>,
}

impl Log {
    /// A log, and the task that records. The task ends with the log.
    pub(super) fn start<S: WorkStore + 'static>(
        store: Arc<S>,
        claims: &Claims,
        reach: &Arc<Reach>,
    ) -> (Self, JoinHandle<()>) {
        let (waiters, waiting) = mpsc::unbounded_channel();
        let task = tokio::spawn(record(store, waiting, claims.clone(), Arc::clone(reach)));
        (Self { claims: claims.clone(), waiters }, task)
    }
}

type NotSent = Box<dyn error::Error + Send + Sync>;

impl Log {
    /// Returns when it is recorded that this line is sent.
    pub(super) async fn record(&self, id: &str) -> Result<(), NotSent> {
        let claim = self.claims.get(id).ok_or(Withdrawn)?;
        let (recorded, answer) = oneshot::channel();
        let waiter = Waiter { lease: claim.lease, recorded };
        self.waiters.send(waiter).map_err(|_| "the task that records has ended")?;
        match answer.await.map_err(|_| "the task that records has ended")? {
            Ok(()) => Ok(()),
            Err(NotRecorded::Stale) => Err(Withdrawn.into()),
            Err(NotRecorded::Failed(why)) => Err(why.into()),
        }
    }
}

impl SendLog for Log {
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a> {
        Box::pin(self.record(request.id.unwrap_or_default()))
    }

    fn not_processed(&self, request: Sending<'_>) {
        // The batch keeps that it was sent until the line is put back with this.
        if let Some(id) = request.id {
            self.claims.set_sent(id, false);
        }
    }
}

async fn record<S: WorkStore>(
    store: Arc<S>,
    mut waiting: mpsc::UnboundedReceiver<Waiter>,
    claims: Claims,
    reach: Arc<Reach>,
) {
    let mut waiters = Vec::new();
    while waiting.recv_many(&mut waiters, AT_ONCE).await > 0 {
        // Who does not wait any more is not sent.
        waiters.retain(|waiter| !waiter.recorded.is_closed());
        let leases: Vec<_> = waiters.iter().map(|waiter| &waiter.lease).collect();
        let recorded = reach.during(store.sent(&leases)).await;
        let recorded = recorded.map_err(|error| in_words(&error));
        for (place, Waiter { lease, recorded: waiter }) in waiters.drain(..).enumerate() {
            let result = match &recorded {
                Ok(held) if held.get(place).is_some_and(Result::is_ok) => Ok(()),
                Ok(_) => Err(NotRecorded::Stale),
                Err(why) => Err(NotRecorded::Failed(why.clone())),
            };
            let is_held = result.is_ok();
            claims.set_sent(&lease.id, is_held);
            // The request may have ended while it was recorded: then it was not sent.
            if waiter.send(result).is_err() {
                claims.set_sent(&lease.id, false);
            } else if !is_held {
                claims.remove(&lease);
            }
        }
    }
}

fn in_words(error: &WorkError) -> String {
    let cause = error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
