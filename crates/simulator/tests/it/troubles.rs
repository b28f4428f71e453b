//! Trouble on the way to the provider.

use std::{io::ErrorKind, time::Duration};

use http::Method;
use outbound_simulator::{Latency, Simulator, Trouble};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{CHAT, Client, chat, ms, secs};

fn with(trouble: Trouble) -> Simulator {
    Simulator::builder().latency(Latency::fixed(ms(100))).trouble(trouble, secs(5)..secs(10)).build()
}

#[tokio::test(start_paused = true)]
async fn dials_fail_while_there_is_trouble_and_no_longer() {
    for (trouble, kind) in [
        (Trouble::Refused, ErrorKind::ConnectionRefused),
        (Trouble::NameGone, ErrorKind::Other),
        (Trouble::TlsBroken, ErrorKind::InvalidData),
    ] {
        let simulator = with(trouble);
        assert!(simulator.dial().await.is_ok());
        sleep(secs(5)).await;
        assert_eq!(simulator.dial().await.map(drop).map_err(|error| error.kind()), Err(kind), "{trouble:?}");
        sleep(secs(5)).await;
        assert_eq!(Client::new(simulator.dial().await.unwrap()).await.chat(&chat("a")).await.status, 200);
        assert_eq!(simulator.ledger().connections(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn open_connections_end_with_the_server_and_not_with_its_name() {
    for (trouble, lives) in [
        (Trouble::Refused, false),
        (Trouble::Reset, false),
        (Trouble::NameGone, true),
        (Trouble::TlsBroken, true),
    ] {
        let simulator = with(trouble);
        let mut client = Client::new(simulator.dial().await.unwrap()).await;
        assert_eq!(client.chat(&chat("a")).await.status, 200);
        sleep(secs(6)).await;
        let sent = client.send(Method::POST, CHAT, chat("a").to_string()).await;
        assert_eq!(sent.is_ok(), lives, "{trouble:?}");
        if lives {
            continue;
        }
        assert!(client.is_closed().await);
        // The provider saw the end of the connection too, and got no request.
        assert_eq!(simulator.ledger().sends(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_reaches_a_call_that_waits_for_its_answer() {
    let simulator = Simulator::builder()
        .latency(Latency::fixed(secs(20)))
        .trouble(Trouble::Reset, secs(5)..secs(6))
        .build();
    let mut client = Client::new(simulator.dial().await.unwrap()).await;
    let started = Instant::now();
    assert!(client.send(Method::POST, CHAT, chat("a").to_string()).await.is_err());
    assert_eq!(started.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn new_connections_are_reset_when_they_are_used() {
    let simulator = with(Trouble::Reset);
    sleep(secs(7)).await;
    let mut client = Client::new(simulator.dial().await.unwrap()).await;
    assert!(client.send(Method::POST, CHAT, chat("a").to_string()).await.is_err());
    assert_eq!(simulator.ledger().sends(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_drop_swallows_for_good_and_new_connections_wait_for_a_repetition() {
    let simulator = with(Trouble::SilentDrop);
    let mut client = Client::new(simulator.dial().await.unwrap()).await;
    assert_eq!(client.chat(&chat("a")).await.status, 200);
    sleep(secs(6)).await;
    let sent = client.send(Method::POST, CHAT, chat("a").to_string());
    assert!(timeout(secs(1_000), sent).await.is_err());
    assert_eq!(simulator.ledger().sends(), 1);

    let simulator = with(Trouble::SilentDrop);
    sleep(secs(6)).await;
    assert!(timeout(secs(3), simulator.dial()).await.is_err());
    let started = Instant::now();
    let mut client = Client::new(simulator.dial().await.unwrap()).await;
    // It began at 9 s, and the repetition after 1 s comes as the trouble ends.
    assert_eq!(started.elapsed(), secs(1));
    assert_eq!(client.chat(&chat("a")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn dialling_takes_its_time() {
    let simulator = Simulator::builder().dial_time(ms(5)).build();
    simulator.dial().await.unwrap();
    assert_eq!(simulator.elapsed(), ms(5));
    assert_eq!(Duration::ZERO, simulator.oracle(&[], 1, secs(1)).time);
}
