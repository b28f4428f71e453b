use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Dialer, Pool, Rules};
use crate::{error::Error, origin::Origin};

/// The pools of a client, one an origin, made when first asked for.
pub(crate) struct Origins {
    dialer: Arc<Dialer>,
    rules: Rules,
    pools: Mutex<BTreeMap<Origin, Arc<Pool>>>,
}

impl Origins {
    // A crawler meets more origins than it will meet again: above this many, those without a connection are let go.
    const SWEEP_ABOVE: usize = 256;

    pub(crate) fn new(dialer: Dialer, rules: Rules) -> Self {
        Self { dialer: Arc::new(dialer), rules, pools: Mutex::default() }
    }

    pub(crate) fn pool(&self, origin: Origin) -> Result<Arc<Pool>, Error> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&origin) {
            return Ok(pool.clone());
        }
        // Doubling between sweeps keeps their cost constant an insertion.
        if pools.len() >= Self::SWEEP_ABOVE && pools.len().is_power_of_two() {
            pools.retain(|_, pool| Arc::strong_count(pool) > 1 || pool.lock().open > 0);
        }
        let pool = Pool::new(origin.clone(), self.dialer.clone(), self.rules)?;
        pools.insert(origin, pool.clone());
        Ok(pool)
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origins").field("rules", &self.rules).finish_non_exhaustive()
    }
}
