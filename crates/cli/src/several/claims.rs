//! The lines that this process has taken from the batch, until each has its end.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use outbound::work::Lease;
use parking_lot::Mutex;
use tokio::sync::{Notify, futures::Notified};

use crate::output::Origin;

/// Cheap to clone. All clones share the same lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    claims: Mutex<HashMap<Arc<str>, Claim>>,
    /// Told when a line has its end.
    changed: Notify,
}

/// A line that was taken.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// Without its payload, which is in the request by now.
    pub(super) lease: Lease,
    pub(super) origin: Origin,
    /// This process may have sent it.
    pub(super) sent: bool,
    /// Another process had it in between, and may have sent it.
    pub(super) is_shared: bool,
    /// The manager has its request.
    pub(super) given: bool,
    /// The most that its request may cost, in millionths of a dollar. 0: there is no budget, or it was not given yet.
    pub(super) most: u64,
}

impl Claims {
    /// Adds a line, and returns whether it is new. This process may have the line already, if its lease had ended: then it goes on
    /// with the new lease, and the line is not sent again. Another process may have had it between the two leases.
    pub(super) fn add(&self, mut lease: Lease, origin: Origin) -> bool {
        lease.payload = Bytes::new();
        match self.0.claims.lock().entry(Arc::clone(&lease.id)) {
            Entry::Occupied(known) => {
                let claim = known.into_mut();
                claim.is_shared |= lease.deliveries != claim.lease.deliveries + 1;
                claim.lease = lease;
                false
            }
            Entry::Vacant(free) => {
                free.insert(Claim { lease, origin, sent: false, is_shared: false, given: false, most: 0 });
                true
            }
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Claim> {
        self.0.claims.lock().get(id).cloned()
    }

    /// Whether this process may have sent it.
    pub(super) fn set_sent(&self, id: &str, sent: bool) {
        if let Some(claim) = self.0.claims.lock().get_mut(id) {
            claim.sent = sent;
        }
    }

    /// Its request may cost this much.
    pub(super) fn set_most(&self, id: &str, most: u64) {
        if let Some(claim) = self.0.claims.lock().get_mut(id) {
            claim.most = most;
        }
    }

    /// The most that all requests may cost.
    pub(super) fn reserved(&self) -> u64 {
        self.0.claims.lock().values().fold(0, |sum, claim| sum.saturating_add(claim.most))
    }

    /// Returns when the next line has its end.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// The manager has its request now.
    pub(super) fn set_given(&self, id: &str) {
        if let Some(claim) = self.0.claims.lock().get_mut(id) {
            claim.given = true;
        }
    }

    /// The line has its end. Nothing happens if the lease is another one by now.
    pub(super) fn remove(&self, lease: &Lease) {
        let mut claims = self.0.claims.lock();
        if claims.get(&lease.id).is_some_and(|claim| claim.lease.number == lease.number) {
            claims.remove(&lease.id);
            self.0.changed.notify_waiters();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.claims.lock().len()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Claim> {
        self.0.claims.lock().values().cloned().collect()
    }

    /// Returns when the last of them has its end. It never does if there are none.
    pub(super) async fn emptied(&self) {
        if self.len() == 0 {
            std::future::pending::<()>().await;
        }
        loop {
            let changed = self.0.changed.notified();
            if self.len() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Returns how many more may be taken, when that is an eighth of `most` or more. So a claim takes several at once.
    pub(super) async fn room(&self, most: impl Fn() -> usize) -> usize {
        loop {
            let changed = self.0.changed.notified();
            let most = most();
            let room = most.saturating_sub(self.len());
            if room > 0 && room >= most / 8 {
                return room;
            }
            changed.await;
        }
    }
}
