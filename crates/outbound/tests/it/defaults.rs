//! What the documentation says about defaults and auto traits.

use std::time::Duration;

use outbound::{
    Endpoint, Error, Outcome, Provider, Reply, Request, RequestManager, RequestManagerBuilder, Ticket,
};

#[test]
fn the_tables_of_defaults_tell_the_truth() {
    let shown = format!("{:?}", RequestManager::builder());
    for says in [
        "name: \"openai\"",
        "max_concurrent: 64",
        "deadline: 1800s",
        "attempt_timeout: 300s",
        "first_item_timeout: 60s",
        "idle_timeout: 60s",
        "connect_timeout: 10s",
        "unreachable_timeout: 30s",
        "max_pause: 900s",
        "max_attempts: 5",
        "retry_ambiguous: true",
        "stop_after_equal_refusals: Some(20)",
        "coalesces: false",
        "cache: None",
        "hedging: None",
        "observers: 0",
        "seed: None",
        "requests_per_minute: None",
        "tokens_per_minute: None",
    ] {
        assert!(shown.contains(says), "{says} is not in {shown}");
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let builder = || RequestManager::builder().provider(Provider::http()).base_url("http://h.test");
    for (builder, says) in [
        (builder().deadline(Duration::ZERO), "deadline"),
        (builder().max_attempts(0), "max_attempts"),
        (builder().max_concurrent(0), "at once"),
        (builder().max_concurrent(usize::MAX), "at once"),
        (builder().requests_per_minute(0), "requests"),
        (builder().base_url("nowhere"), "base"),
        (RequestManager::builder().provider(Provider::http()), "base_url"),
        (builder().endpoint("x", Endpoint::new(Provider::http())), "endpoint x"),
    ] {
        let error = builder.build().expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn auto_traits() {
    fn send_sync<T: Send + Sync>() {}
    fn send<T: Send>(_: &T) {}
    send_sync::<RequestManager>();
    send_sync::<RequestManagerBuilder>();
    send_sync::<Endpoint>();
    send_sync::<Request>();
    send_sync::<Outcome>();
    send_sync::<Reply>();
    send_sync::<Error>();
    send_sync::<Ticket>();
    fn futures(manager: &RequestManager, request: Request) {
        send(&manager.send(request.clone()));
        send(&manager.submit(request));
        send(&manager.shutdown(Duration::ZERO));
        send(&manager.batch(Vec::new()));
    }
    let _ = futures;
}

/// Very large limits are valid, and nothing overflows.
#[tokio::test(start_paused = true)]
async fn the_longest_times_are_fine() {
    let simulator = crate::stack::provider().build();
    let manager = crate::stack::manager(&simulator)
        .deadline(Duration::MAX)
        .attempt_timeout(Duration::MAX)
        .first_item_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .build()
        .expect("a manager");
    for request in [crate::stack::chat(1), crate::stack::stream(2)] {
        assert!(manager.send(request).await.result.is_ok());
    }
}
