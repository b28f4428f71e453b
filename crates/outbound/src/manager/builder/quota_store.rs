//! Limits that several processes share.

use std::sync::Arc;

use super::RequestManagerBuilder;
use crate::quota_store::QuotaStore;

impl RequestManagerBuilder {
    /// Shares the limits of each endpoint with all processes that use the same key at the same address with the same store.
    ///
    /// Without it each process takes a limit for its own: four of them send four times as much as the provider admits. With it
    /// they have it together, each as much as it has to do. Limits are shared whether they are
    /// [set](Self::requests_per_minute) or learnt from replies. Requests ask nobody: a task of the manager fetches small
    /// chunks from the store before they are needed, and at most ten times a second for each limited account or model.
    ///
    /// ```
    /// use outbound::{RequestManager, quota_store::MemoryQuota};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = MemoryQuota::new();
    /// let build = || RequestManager::builder().key("key-of-both").requests_per_minute(500).quota_store(store.clone());
    /// // They have 500 requests a minute together.
    /// let (one, other) = (build().build()?, build().build()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// | when | then |
    /// |---|---|
    /// | a limit is known, changes, or turns out to be a model's own | it is shared from then on, with what comes in during 0.85 s as the burst, 1.25 s where one process is alone |
    /// | a limit is for more than five minutes, or was only guessed from refusals | each process keeps it by itself |
    /// | no limit is known | a model begins with 4 calls at once, and nothing is held back |
    /// | one process has nothing to do | the others have its part after a second |
    /// | a provider refuses a request of one process, and names a wait of a second or more | all wait ([`Waiting::Refused`](crate::Waiting::Refused)); then one sends one request; when its reply is there, all go on |
    /// | the provider has less left than it should, or more | each reports a little more than it used, or less |
    /// | the store is away | no request fails; each process has the rate that it had for as long as its last chunk was good for, then its part of the limits, which halves every minute down to a sixteenth; `tracing` warns once, and the [snapshot](crate::QuotaStoreSnapshot) says so |
    /// | it is back | what was used meanwhile is reported |
    /// | a process ends | it gives back what it has; if it dies, that is lost for some seconds |
    ///
    /// In the store a limit has a name that is the same in every process: the provider, the address, 16 hex digits of the
    /// SHA-256 of the key (never the key), the model where the limits are the model's, and what is counted. The number of
    /// calls at once ([`max_concurrent`](Self::max_concurrent)) is each process's own.
    pub fn quota_store(mut self, store: impl QuotaStore + 'static) -> Self {
        self.settings.quota_store = Some(Arc::new(store));
        self
    }
}
