//! Takes lines from the batch, as many as this process can work on.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use outbound::{
    Provider, Request,
    work::{Ambiguous, Lease, WorkStore},
};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use super::{
    budget::Budget,
    claims::Claims,
    store::{Reach, failed},
};
use crate::{exit::Stop, input::Payload, output::Origin};

/// At most this many lines are taken with one call.
const AT_ONCE: usize = 1_000;

/// How soon a process that has nothing more to do looks whether the batch is done.
const SOON: Duration = Duration::from_millis(250);

/// Requests with the ids of their lines.
pub(super) type Requests = mpsc::UnboundedSender<(Arc<str>, Request)>;

/// Takes lines until the whole batch is done, or until it is told to end.
pub(super) struct Feed<S, W> {
    pub(super) store: Arc<S>,
    pub(super) claims: Claims,
    pub(super) reach: Arc<Reach>,
    pub(super) lease: Duration,
    /// How many lines this process may have at once.
    pub(super) most: W,
    /// The path of the base URL.
    pub(super) base_path: String,
    /// Lines whose requests were refused for the key or the money of this process. It leaves them to others.
    pub(super) refused: Arc<Mutex<HashSet<Arc<str>>>>,
    pub(super) budget: Arc<Budget>,
    /// Whose prices are asked for.
    pub(super) provider: Provider,
    /// The whole batch is done.
    pub(super) is_done: Arc<AtomicBool>,
}

impl<S: WorkStore, W: Fn() -> usize> Feed<S, W> {
    /// Sends the requests of the lines that it takes. It ends when `ending` is set, and after the call that is under way then: a
    /// claim that nobody hears of would hold its lines until their leases end.
    pub(super) async fn run(self, requests: Requests, mut ending: watch::Receiver<bool>) -> Result<(), Stop> {
        loop {
            let room = tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending) => return Ok(()),
                room = self.claims.room(&self.most) => room.min(AT_ONCE),
            };
            let claimed = self.store.claim(room, self.lease, Ambiguous::Take);
            let leases = self.reach.during(claimed).await.map_err(|error| failed(&error))?;
            let found = leases.len();
            let (refused, leases) = self.without_refused(leases);
            if !refused.is_empty() {
                let back: Vec<_> = refused.iter().collect();
                self.reach.during(self.store.release(&back, false)).await.map_err(|error| failed(&error))?;
                if refused.len() == found {
                    // What is left is for others.
                    return Ok(());
                }
            }
            let payloads = match leases.iter().map(payload).collect::<Result<Vec<_>, _>>() {
                Ok(payloads) => payloads,
                Err(stop) => {
                    let back: Vec<_> = leases.iter().collect();
                    self.reach
                        .during(self.store.release(&back, false))
                        .await
                        .map_err(|error| failed(&error))?;
                    return Err(stop);
                }
            };
            // All are noted before the first is sent: what is not sent on is put back at the end.
            let lines = leases.into_iter().zip(payloads);
            let taken: Vec<_> = lines.map(|(lease, payload)| self.request(lease, payload)).collect();
            for (id, most, request) in taken.into_iter().flatten() {
                let is_admitted = tokio::select! {
                    biased;
                    _ = ending.wait_for(|ending| *ending) => false,
                    is_admitted = self.budget.admit(&id, most) => is_admitted,
                };
                if !is_admitted || requests.send((id, request)).is_err() {
                    return Ok(());
                }
            }
            if found == room {
                continue;
            }
            let mut soon = None;
            if found == 0 {
                let asked = Instant::now();
                let counts = self.reach.during(self.store.counts()).await.map_err(|error| failed(&error))?;
                if counts.ready + counts.ambiguous + counts.claimed == 0 {
                    self.is_done.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                // The last lines may end at any moment, and nobody says it. A large batch takes long to count.
                soon = Some(SOON.max(asked.elapsed() * 20)).filter(|_| self.claims.len() == 0);
            }
            tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending) => return Ok(()),
                () = self.store.wait() => {}
                () = sleep(soon.unwrap_or_default()), if soon.is_some() => {}
                // Perhaps that was the last line of all.
                () = self.claims.emptied() => {}
            }
        }
    }

    fn without_refused(&self, leases: Vec<Lease>) -> (Vec<Lease>, Vec<Lease>) {
        let refused = self.refused.lock();
        leases.into_iter().partition(|lease| refused.contains(&lease.id))
    }

    /// The request of a line, and the most that it may cost. `None` if this process has the line already.
    fn request(&self, lease: Lease, payload: Payload) -> Option<(Arc<str>, u64, Request)> {
        let id = Arc::clone(&lease.id);
        let origin = Origin { line: payload.line, request: payload.request };
        let most = if self.budget.has_prices() {
            self.budget.most(&payload.facts(self.provider), payload.body())
        } else {
            0
        };
        let request = payload.into_request(id.to_string(), &self.base_path);
        let request = if lease.may_have_been_sent { request.maybe_sent_before() } else { request };
        self.claims.add(lease, origin).then_some((id, most, request))
    }
}

fn payload(lease: &Lease) -> Result<Payload, Stop> {
    serde_json::from_slice(&lease.payload).map_err(|error| {
        let id = &lease.id;
        Stop::Input(format!(
            "the batch has a line that this version cannot read: `custom_id` {id:?}: {error}"
        ))
    })
}
