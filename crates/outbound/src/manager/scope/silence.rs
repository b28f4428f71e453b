//! Detects a server that has become silent while calls wait for it.
//!
//! Packets may vanish without notice, for example behind a firewall that has forgotten a connection. Then calls in
//! flight hang until their timeouts, and nothing would be sent meanwhile. So after a short silence a connection is
//! opened. That costs no call, and shows whether the server is gone or only slow.
//!
//! A server, or a proxy before it, may also take connections and answer no call. Only one thing shows that: the silence
//! is much longer than answers used to take. Then the origin is [unresponsive](super::Reachability): waiting requests
//! are sent as probes, each after a longer pause, because each may hang like those before it.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{super::shared_quota::SharedQuota, account::Account};

/// How often the silence is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// After this silence a connection is opened. If that succeeds, the server is only slow. The next check comes when the
/// silence is twice as long.
const DIAL_AFTER: Duration = Duration::from_secs(3);

/// How long opening a connection may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Watches the account while calls are in flight, in a task on the current runtime.
pub(crate) fn watch(account: &Arc<Account>) {
    if !account.watched.swap(true, Ordering::SeqCst) {
        // Where its runtime has ended, the task goes on in this one.
        account.shared.iter().for_each(SharedQuota::start);
        tokio::spawn(check(Watcher { account: Arc::downgrade(account), is_active: true }));
    }
}

/// The watching task. If its runtime ends, another task takes over.
struct Watcher {
    account: Weak<Account>,
    /// Whether the account counts this task as its watcher.
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
            // A new call may have seen that the account is watched, and then not have started a watcher.
            if account.in_flight() == 0 || account.watched.swap(true, Ordering::SeqCst) {
                return;
            }
            watcher.is_active = true;
        }
        let now = Instant::now();
        // The origin is known to be down or unresponsive, or has never replied.
        let Some((last_activity, too_long)) = account.reach().silence() else { continue };
        let silent_since = last_activity.max(began);
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
                    "the server takes connections and answers nothing"
                );
                account.reach().mark_unresponsive(silent_since, Instant::now());
            }
            Ok(Ok(())) => patience = silent * 2,
            _ => {
                tracing::warn!(
                    provider = account.provider.name(),
                    ?silent,
                    "nothing comes back, and no connection can be made"
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
