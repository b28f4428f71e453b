//! Looks whether a server that has gone silent is still there, while calls wait for it.
//!
//! Where packets vanish without a word, as behind a firewall that forgot a connection, the calls under way hang until their
//! own limits end them, and nothing would be sent meanwhile. So where nothing has come back for a while, a connection is
//! opened: that costs no call, and tells a slow server from one that is gone.
//!
//! A server, or a proxy before it, may take connections and still answer nobody. That is known by one thing only: nothing
//! has come back on any call for far longer than answers used to take. Then it is [mute](super::Reach): waiting requests go
//! out as probes, each after a longer pause, since each may hang like those before it.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::account::Account;

/// How often it is asked whether anything has come back.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// So long nothing has come back before a connection is opened. A server that takes one is only slow, and is left alone for
/// twice as long as it has been silent.
const DIAL_AFTER: Duration = Duration::from_secs(3);

/// How long a connection may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Has the account watched while calls are under way, by a task on the runtime of the call that begins.
pub(crate) fn watch(account: &Arc<Account>) {
    if !account.watched.swap(true, Ordering::SeqCst) {
        tokio::spawn(check(Watcher { account: Arc::downgrade(account), is_active: true }));
    }
}

/// The one task that looks. It may end with its runtime, and then another takes over.
struct Watcher {
    account: Weak<Account>,
    /// Whether the account takes it for the one that looks.
    is_active: bool,
}

async fn check(mut watcher: Watcher) {
    let began = Instant::now();
    let mut patience = DIAL_AFTER;
    loop {
        sleep(CHECK_INTERVAL).await;
        let Some(account) = watcher.account.upgrade() else { return };
        if account.in_flight() == 0 {
            watcher.is_active = false;
            account.watched.store(false, Ordering::SeqCst);
            // A call that began meanwhile may have seen that it is watched.
            if account.in_flight() == 0 || account.watched.swap(true, Ordering::SeqCst) {
                return;
            }
            watcher.is_active = true;
        }
        let now = Instant::now();
        // Known to be down: the probes look.
        let Some((heard, too_long)) = account.reach().silence() else { continue };
        let silent_since = heard.max(began);
        let silent = now.saturating_duration_since(silent_since);
        if silent < DIAL_AFTER {
            patience = DIAL_AFTER;
        }
        if silent < patience.min(too_long) {
            continue;
        }
        let open: usize =
            account.client.snapshot().iter().map(|pool| pool.idle + pool.busy + pool.dialing).sum();
        match timeout(DIAL_TIMEOUT, account.client.warm_up("", open + 1)).await {
            Ok(Ok(())) if silent >= too_long => {
                tracing::warn!(
                    provider = account.provider.name(),
                    ?silent,
                    "connections are taken, and nothing is answered"
                );
                account.reach().mark_unresponsive(silent_since, Instant::now());
            }
            Ok(Ok(())) => patience = silent * 2,
            _ => {
                tracing::warn!(
                    provider = account.provider.name(),
                    ?silent,
                    "nothing is heard, and no connection to be had"
                );
                // Idle connections are as dead as those in use.
                drop(account.client.drain());
                account.reach().mark_down(Instant::now(), now.elapsed());
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if self.is_active
            && let Some(account) = self.account.upgrade()
        {
            account.watched.store(false, Ordering::SeqCst);
        }
    }
}
