//! A shared quota in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Exchange, Grant, QuotaError, QuotaStore, Row, Scope};

/// A quota that several managers of one process share. A clone is another handle of the same.
///
/// Its clock is tokio's, so that a test can pause it.
#[derive(Debug, Clone)]
pub struct MemoryQuota {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    rows: Mutex<HashMap<String, Row>>,
}

impl MemoryQuota {
    /// A store that knows nothing yet.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared { start: Instant::now(), rows: Mutex::default() }) }
    }
}

impl Default for MemoryQuota {
    fn default() -> Self {
        Self::new()
    }
}

impl QuotaStore for MemoryQuota {
    async fn exchange(&self, scope: &Scope, exchange: Exchange) -> Result<Grant, QuotaError> {
        let elapsed = self.shared.start.elapsed();
        // Not from 0: a wait that began before the store did lies in the past, too.
        let now = elapsed.saturating_add(Duration::from_secs(86_400)).as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let mut rows = self.shared.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry(scope.name.clone()).or_insert_with(|| Row::new(scope, 1, now));
        Ok(row.exchange(scope, &exchange, now))
    }
}
