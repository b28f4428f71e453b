//! The verdict on a failed call, without the manager.

use std::time::Duration;

use outbound::{
    Client, Provider,
    client::{Delivery, Error, Kind, Limits, Reply},
    retry::Verdict,
    verdict,
};
use outbound_simulator::{Fault, Refusal, Simulator};
use serde_json::Value;

use crate::stack::{body, client, s};

const PROVIDER: Provider = Provider::openai();

async fn reply(simulator: &Simulator) -> Result<Reply, Error> {
    let client = client(simulator).base_url("http://provider.test/v1").build().expect("a client");
    client.post("/chat/completions").json(&body(1)).send().await
}

async fn failure(fault: impl Into<Fault>) -> Error {
    let simulator = Simulator::builder().fault_on_attempt(fault.into(), 1).build();
    let answer = async { reply(&simulator).await?.error_for_status().await?.json::<Value>().await };
    answer.await.expect_err("every reply is an error")
}

async fn refused(refusal: Refusal) -> Verdict {
    verdict(&failure(refusal).await, &PROVIDER)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_rate_is_free_for_as_long_as_the_server_says() {
    assert_eq!(refused(Refusal::status(429).retry_after(s(7))).await, Verdict::RetryFree(s(7)));
    assert_eq!(refused(Refusal::status(503).retry_after(s(2))).await, Verdict::RetryFree(s(2)));
    assert_eq!(refused(Refusal::status(429)).await, Verdict::Retry);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_server_is_charged() {
    assert_eq!(refused(Refusal::status(500)).await, Verdict::Retry);
    assert_eq!(refused(Refusal::status(502).retry_after(s(3))).await, Verdict::RetryAfter(s(3)));
}

#[tokio::test(start_paused = true)]
async fn what_would_be_refused_again_stops() {
    for status in [400, 401, 404, 422] {
        assert_eq!(refused(Refusal::status(status)).await, Verdict::Stop, "{status}");
    }
    assert_eq!(refused(Refusal::quota_spent()).await, Verdict::Stop);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_without_an_answer_is_tried_again() {
    let error = failure(Fault::ResetBeforeHeaders).await;
    assert_eq!((error.delivery(), verdict(&error, &PROVIDER)), (Delivery::MaybeSent, Verdict::Retry));
    let client = client(&Simulator::builder().fault_on_attempt(Fault::Silence, 1).build())
        .base_url("http://provider.test/v1")
        .limits(Limits::new().total(s(5)))
        .build()
        .expect("a client");
    let error = client.post("/chat/completions").json(&body(1)).send().await.expect_err("nobody answers");
    assert_eq!((error.kind(), verdict(&error, &PROVIDER)), (Kind::Timeout, Verdict::Retry));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_type_is_not_bought_twice() {
    let simulator = Simulator::builder().build();
    let error = reply(&simulator).await.expect("an answer").json::<Vec<u8>>().await.expect_err("no bytes");
    assert_eq!((error.kind(), verdict(&error, &PROVIDER)), (Kind::Decode, Verdict::Stop));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_sent_the_retry_is_free_and_has_jitter() {
    let refused = |_: &outbound::Origin| async {
        Err::<tokio::io::DuplexStream, _>(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
    };
    let client = Client::builder().connector(refused).build().expect("a client");
    let error = client.get("http://provider.test/").send().await.expect_err("no connection");
    assert_eq!(error.delivery(), Delivery::NotSent);
    let waits: Vec<Duration> = (0..50)
        .map(|_| match verdict(&error, &PROVIDER) {
            Verdict::RetryFree(wait) => wait,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(waits.iter().all(|wait| (Duration::from_millis(500)..s(2)).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_built_and_a_client_that_is_closed_stop() {
    let client = Client::builder().build().expect("a client");
    let error = client.get("no address").send().await.expect_err("no address");
    assert_eq!(verdict(&error, &PROVIDER), Verdict::Stop);
    client.close().await;
    let error = client.get("http://provider.test/").send().await.expect_err("it is closed");
    assert_eq!((error.kind(), verdict(&error, &PROVIDER)), (Kind::ClientClosed, Verdict::Stop));
}
