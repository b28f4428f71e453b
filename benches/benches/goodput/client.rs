//! All that this bench knows of the manager.

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use outbound::{Client, Origin, Provider, Request, RequestManager, quota_store::MemoryQuota};
use outbound_simulator::Simulator;
use serde_json::Value;

/// What the client is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// Requests and tokens a minute.
    pub(crate) limits: Option<(u64, u64)>,
    pub(crate) max_concurrent: usize,
    pub(crate) attempt_timeout: Duration,
    pub(crate) seed: u64,
    /// So many managers share the limits.
    pub(crate) managers: usize,
}

/// Runs a batch, split among the managers, and says for each item what the model wrote, or why there is nothing.
pub(crate) async fn batch(
    simulator: &Simulator,
    told: Told,
    bodies: &[Value],
) -> Vec<(usize, Result<String, String>)> {
    let store = MemoryQuota::new();
    let parts = (0..told.managers).map(|number| {
        let manager = manager(simulator, told, number, &store);
        let part = bodies.iter().skip(number).step_by(told.managers).map(Request::chat);
        async move {
            let outcomes: Vec<_> = manager.batch(part).collect().await;
            outcomes.into_iter().map(move |outcome| (number + outcome.index * told.managers, outcome.result))
        }
    });
    let text = |result: Result<outbound::Reply, outbound::Error>| match result {
        Ok(reply) => Ok(reply.content().unwrap_or_default()),
        Err(error) => Err(error.to_string()),
    };
    join_all(parts).await.into_iter().flatten().map(|(index, result)| (index, text(result))).collect()
}

fn manager(simulator: &Simulator, told: Told, number: usize, store: &MemoryQuota) -> RequestManager {
    let dialled = simulator.clone();
    let client = Client::builder().connector(move |_: &Origin| {
        let dialled = dialled.clone();
        async move { dialled.dial().await }
    });
    let mut manager = RequestManager::builder()
        .provider(Provider::openai())
        .base_url("http://provider.test/v1")
        .key("sk-of-nobody")
        .client(client)
        .max_concurrent(told.max_concurrent)
        .attempt_timeout(told.attempt_timeout)
        .seed(told.seed + 1_000 * number as u64)
        .wall_clock(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600));
    if let Some((requests, tokens)) = told.limits {
        manager = manager.requests_per_minute(requests).tokens_per_minute(tokens);
    }
    if told.managers > 1 {
        manager = manager.quota_store(store.clone());
    }
    manager.build().expect("a manager")
}
