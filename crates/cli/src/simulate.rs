//! The simulated provider inside this process. It speaks real HTTP on loopback.

use std::{fmt, io, net::SocketAddr, time::Duration};

use outbound_simulator::{Builder, Ledger, Simulator};

mod beside;
mod mishaps;
mod provider;
mod usual_loop;

use self::provider::{SEED, with_restart};
pub(crate) use self::{
    beside::{Beside, Simulated},
    mishaps::Mishaps,
    provider::{provider, with_faults},
};

/// How long the requests of a demonstration take if only the limits hold them back.
const AIM: Duration = Duration::from_secs(10);

/// The limits of the simulated provider, scaled to the number of requests so that a demonstration is short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) requests_per_minute: u64,
    pub(crate) tokens_per_minute: u64,
    pub(crate) attempt_timeout: Duration,
    pub(crate) first_item_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

impl Plan {
    pub(crate) fn for_job(requests: u64, tokens: u64) -> Self {
        let per_minute = |amount: u64| amount.saturating_mul(60) / AIM.as_secs();
        Self {
            requests_per_minute: per_minute(requests).max(600),
            // Half as much again as estimated, so that the limit on requests is the one that counts.
            tokens_per_minute: (per_minute(tokens) / 2).saturating_mul(3).max(600_000),
            attempt_timeout: Duration::from_secs(3),
            first_item_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
        }
    }
}

impl Plan {
    /// A provider with these limits. It has faults, and restarts once.
    pub(crate) fn provider(&self) -> Builder {
        with_restart(with_faults(provider(self.requests_per_minute, self.tokens_per_minute, SEED)))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it grants {} requests and {} tokens a minute and has faults; timeouts: {:?} for an attempt, {:?} to the first item, {:?} \
             between two items",
            self.requests_per_minute,
            self.tokens_per_minute,
            self.attempt_timeout,
            self.first_item_timeout,
            self.idle_timeout
        )
    }
}

/// What the provider received and did, as one line.
pub(crate) fn seen(ledger: &Ledger) -> String {
    let (sends, answered, refused) = (ledger.sends(), ledger.answered(), ledger.refused());
    let failed = sends - answered - refused;
    let duplicates = ledger.duplicates();
    format!(
        "the provider received {sends} requests: {answered} answered, {refused} refused by a rate limit, {failed} failed; \
         {duplicates} were sent again after their answer"
    )
}

/// Starts the server on 127.0.0.1. With port 0 the system chooses a free one.
pub(crate) async fn serve(simulator: &Simulator, port: u16) -> io::Result<SocketAddr> {
    simulator.listen(("127.0.0.1", port)).await
}
