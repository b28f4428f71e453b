//! Keeps what this process has taken: extends the leases, in a task of its own.

use std::{sync::Arc, time::Duration};

use outbound::work::WorkStore;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use super::claims::Claims;

/// Extends all leases every third of their time, until the task is aborted. A call that takes longer than that is given up and
/// made again, so that one that hangs holds nothing up.
pub(super) fn start<S: WorkStore + 'static>(
    store: Arc<S>,
    claims: &Claims,
    lease: Duration,
) -> JoinHandle<()> {
    let (claims, third) = (claims.clone(), lease / 3);
    tokio::spawn(async move {
        let mut thirds = interval(third);
        thirds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            thirds.tick().await;
            let claimed = claims.all();
            let leases: Vec<_> = claimed.iter().map(|claim| &claim.lease).collect();
            if !leases.is_empty() {
                // What is not held any more shows when it is sent or finished.
                let _ = timeout(third, store.renew(&leases, lease)).await;
            }
        }
    })
}
