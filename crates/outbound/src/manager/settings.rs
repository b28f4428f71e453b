//! The settings of a manager.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use outbound_client::Limits;

use super::{
    cache::ResponseCache,
    guarded_observer::GuardedObserver,
    hedging::Hedging,
    money::{Money, Prices},
    route::Route,
    send_log::SendLog,
    shared_quota::AnyStore,
};

/// The largest event of a stream: as much as a whole reply, since an event may hold an image.
const LARGEST_EVENT: usize = 64 << 20;

/// The options of a manager that are the same for all its endpoints. Their defaults are listed at
/// [`RequestManagerBuilder`](super::RequestManagerBuilder).
pub(crate) struct Settings {
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) first_item_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) unreachable_timeout: Duration,
    pub(crate) max_pause: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) retry_ambiguous: bool,
    pub(crate) stop_after_equal_refusals: Option<NonZeroU32>,
    pub(crate) observers: Arc<[GuardedObserver]>,
    /// For requests without fallbacks of their own.
    pub(crate) fallbacks: Vec<Route>,
    pub(crate) prices: Option<Arc<Prices>>,
    pub(crate) budget: Option<Money>,
    /// Whether equal requests in flight share one call.
    pub(crate) coalesces: bool,
    pub(crate) cache: Option<ResponseCache>,
    pub(crate) hedging: Option<Hedging>,
    /// Written before a request is sent.
    pub(crate) send_log: Option<Box<dyn SendLog>>,
    /// The limits are shared with other processes through it.
    pub(crate) quota_store: Option<Arc<dyn AnyStore>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("deadline", &self.deadline)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("first_item_timeout", &self.first_item_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("unreachable_timeout", &self.unreachable_timeout)
            .field("max_pause", &self.max_pause)
            .field("max_attempts", &self.max_attempts)
            .field("retry_ambiguous", &self.retry_ambiguous)
            .field("stop_after_equal_refusals", &self.stop_after_equal_refusals)
            .field("fallbacks", &self.fallbacks)
            .field("prices", &self.prices.is_some())
            .field("budget", &self.budget)
            .field("coalesces", &self.coalesces)
            .field("cache", &self.cache)
            .field("hedging", &self.hedging)
            .field("send_log", &self.send_log.is_some())
            .field("quota_store", &self.quota_store.is_some())
            .finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30 * 60),
            attempt_timeout: Duration::from_secs(5 * 60),
            first_item_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            unreachable_timeout: Duration::from_secs(30),
            max_pause: Duration::from_secs(15 * 60),
            max_attempts: 5,
            retry_ambiguous: true,
            stop_after_equal_refusals: NonZeroU32::new(20),
            observers: Arc::default(),
            fallbacks: Vec::new(),
            prices: None,
            budget: None,
            coalesces: false,
            cache: None,
            hedging: None,
            send_log: None,
            quota_store: None,
        }
    }
}

impl Settings {
    /// The time limits of one attempt. Other limits stay those of the caller's client, such as its largest body. The
    /// pool has no limit of its own: a request waits for its admission, and not for a connection.
    pub(crate) fn limits(&self, of_client: Limits) -> Limits {
        of_client
            .max_event(of_client.max_event.max(LARGEST_EVENT))
            .pool_wait(None)
            .dns(self.connect_timeout)
            .connect(self.connect_timeout)
            .tls(self.connect_timeout)
            .write_idle(self.idle_timeout)
            .first_byte(None)
            .idle(self.idle_timeout)
            .exchange(self.attempt_timeout)
            .total(None)
    }
}
