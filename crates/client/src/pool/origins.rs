//! All pools of a client.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Pool, PoolSettings, PoolSnapshot, permits::Permits};
use crate::{
    connect::{Dialer, Proxies, Proxy},
    error::Error,
    origin::Origin,
};

/// What a pool is for: the origin, the proxy, and whether its connections switch to another protocol.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Destination {
    pub(crate) origin: Origin,
    pub(crate) proxy: Option<Proxy>,
    /// For requests that switch to another protocol. These need HTTP/1.1, and a tunnel if there is a proxy.
    pub(crate) for_upgrade: bool,
}

/// The pools of a client, one for each destination. A pool is made when it is first needed.
pub(crate) struct Origins {
    dialer: Arc<Dialer>,
    permits: Arc<Permits>,
    settings: PoolSettings,
    proxies: Proxies,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pools: BTreeMap<Destination, Arc<Pool>>,
    closed: bool,
}

impl Origins {
    // A crawler meets many origins only once. Above this number, origins without a connection are removed.
    const SWEEP_ABOVE: usize = 256;

    pub(crate) fn new(dialer: Dialer, settings: PoolSettings, proxies: Proxies) -> Self {
        let permits = Permits::new(settings.max_connections);
        let (dialer, state) = (Arc::new(dialer), Mutex::default());
        Self { dialer, permits, settings, proxies, state }
    }

    /// The pool of an origin. The proxies are the request's own, or else the client's.
    pub(crate) fn pool(&self, origin: Origin, proxies: Option<&Proxies>) -> Result<Arc<Pool>, Error> {
        self.find(origin, proxies, false)
    }

    /// The same, for requests that switch to another protocol.
    pub(crate) fn pool_for_upgrade(
        &self,
        origin: Origin,
        proxies: Option<&Proxies>,
    ) -> Result<Arc<Pool>, Error> {
        self.find(origin, proxies, true)
    }

    fn find(&self, origin: Origin, proxies: Option<&Proxies>, for_upgrade: bool) -> Result<Arc<Pool>, Error> {
        let proxy = proxies.unwrap_or(&self.proxies).find(&origin)?;
        let destination = Destination { origin, proxy, for_upgrade };
        let mut state = self.lock();
        if let Some(pool) = state.pools.get(&destination) {
            return Ok(pool.clone());
        }
        // Between two sweeps the number of pools doubles, so the cost for each insertion stays constant.
        if state.pools.len() >= Self::SWEEP_ABOVE && state.pools.len().is_power_of_two() {
            state.pools.retain(|_, pool| Arc::strong_count(pool) > 1 || pool.lock().open > 0);
        }
        let (dialer, permits) = (self.dialer.clone(), self.permits.clone());
        let pool = Pool::new(destination.clone(), dialer, permits, self.settings, state.closed)?;
        state.pools.insert(destination, pool.clone());
        Ok(pool)
    }

    /// Closes idle connections now, and the others when their request is done; see [`Pool::drain`].
    pub(crate) fn drain(&self, close: bool) {
        self.dialer.dns.forget_all();
        let pools: Vec<_> = {
            let mut state = self.lock();
            state.closed |= close;
            state.pools.values().cloned().collect()
        };
        pools.iter().for_each(|pool| pool.drain(close));
    }

    /// Waits until all connections that were open at the last drain are closed.
    pub(crate) async fn drained(&self) {
        loop {
            let freed = self.permits.freed.notified();
            if self.lock().pools.values().all(|pool| pool.is_drained()) {
                return;
            }
            freed.await;
        }
    }

    pub(crate) fn snapshot(&self) -> Vec<PoolSnapshot> {
        self.lock().pools.values().map(|pool| pool.snapshot()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins")
            .field("rules", &self.settings)
            .field("proxies", &self.proxies)
            .field("tls", &self.dialer.tls)
            .field("egress", &self.dialer.egress)
            .finish_non_exhaustive()
    }
}
