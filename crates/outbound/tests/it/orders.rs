//! Priorities and tenants.

use futures::{StreamExt, stream::FuturesUnordered};
use outbound::{Request, RequestManager};
use outbound_simulator::{Latency, Simulator};
use tokio::time::Instant;

use crate::stack::{chat, manager, ms, provider, s};

/// A server that takes a second for each call, and a manager that sends one at a time.
fn one_at_a_time() -> (Simulator, RequestManager) {
    let simulator = provider().latency(Latency::fixed(s(1))).build();
    let manager = manager(&simulator).max_concurrent(1).deadline(s(100_000)).build().expect("a manager");
    (simulator, manager)
}

/// The ids of the requests in the order in which they were answered.
async fn answered(manager: &RequestManager, requests: impl IntoIterator<Item = Request>) -> Vec<String> {
    let sent: FuturesUnordered<_> = requests.into_iter().map(|request| manager.send(request)).collect();
    sent.map(|outcome| outcome.id.expect("an id")).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_higher_priority_goes_first() {
    let (_simulator, manager) = one_at_a_time();
    let requests = [0, 0, 3, -1, 3].into_iter().enumerate();
    let order = answered(&manager, requests.map(|(id, priority)| chat(id).priority(priority))).await;
    assert_eq!(order, ["r0", "r2", "r4", "r1", "r3"]);
}

/// Ten thousand requests of one tenant do not delay one of another, however they are sent.
#[tokio::test(start_paused = true)]
async fn one_request_waits_no_longer_than_two_of_another_tenant() {
    for face in ["send", "submit", "batch"] {
        let (_simulator, manager) = one_at_a_time();
        let flood = manager.clone();
        let flood = tokio::spawn(async move {
            let requests = (0..10_000).map(|id| chat(id).tenant("many"));
            match face {
                "send" => drop(answered(&flood, requests).await),
                "submit" => {
                    let tickets = requests.map(|request| flood.submit(request));
                    futures::future::join_all(tickets).await;
                }
                _ => drop(flood.batch(requests).collect::<Vec<_>>().await),
            }
        });
        tokio::time::sleep(ms(10_500)).await;
        let began = Instant::now();
        let request = chat(20_000).tenant("one");
        let outcome = match face {
            "submit" => manager.submit(request).await.expect("open").await,
            _ => manager.send(request).await,
        };
        assert!(outcome.result.is_ok());
        assert!(began.elapsed() <= s(3), "{face}: two service times and its own: {:?}", began.elapsed());
        flood.abort();
    }
}

/// Two tenants with equal prompts have half of the limits each, whatever the number of their requests.
#[tokio::test(start_paused = true)]
async fn tenants_have_equal_shares() {
    let (_simulator, manager) = one_at_a_time();
    let many = (0..60).map(|id| chat(id).tenant("many"));
    let few = (100..120).map(|id| chat(id).tenant("few"));
    let order = answered(&manager, many.chain(few)).await;
    let last = order.iter().rposition(|id| id.len() == 4).expect("they were answered");
    assert!((38..=42).contains(&last), "{last}");
}

/// The order is the same where a quota limits, and with several endpoints.
#[tokio::test(start_paused = true)]
async fn the_order_holds_under_quotas_and_over_endpoints() {
    for endpoints in [1, 2] {
        let simulators: Vec<_> = (0..endpoints).map(|_| provider().build()).collect();
        let mut builder = manager(&simulators[0]).requests_per_minute(60).deadline(s(10_000));
        for simulator in &simulators[1..] {
            let endpoint = outbound::Endpoint::new(outbound::Provider::openai_compatible())
                .base_url("http://other.test/v1")
                .key(crate::stack::KEY)
                .requests_per_minute(60)
                .client(crate::stack::client(simulator));
            builder = builder.another_endpoint(endpoint);
        }
        let manager = builder.build().expect("a manager");
        // The calls that a full bucket lets through at once.
        answered(&manager, (0..70 * endpoints).map(chat)).await;
        let low = (1_000..1_020).map(|id| chat(id).priority(-5));
        let high = (100..110).map(|id| chat(id).priority(5));
        let order = answered(&manager, low.chain(high)).await;
        let last = order.iter().rposition(|id| id.len() == 4).expect("they were answered");
        assert!(last <= 11, "{endpoints}: {order:?}");
    }
}
