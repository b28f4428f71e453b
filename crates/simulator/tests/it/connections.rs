//! Connections: many requests on one, closes without notice, resets, the end of everything.

use http::Method;
use outbound_simulator::{Fault, Latency, Outcome, Simulator};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::support::{CHAT, Client, chat, ms, secs, streamed};

#[tokio::test(start_paused = true)]
async fn a_connection_serves_request_after_request() {
    let simulator = Simulator::builder().build();
    let mut client = Client::to(&simulator).await;
    for prompt in 0..20 {
        let body = chat(&prompt.to_string());
        assert_eq!(client.chat(&if prompt % 2 == 0 { body } else { streamed(body) }).await.status, 200);
    }
    assert!(!client.is_closed().await);
    assert_eq!(simulator.ledger().peak_concurrency(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_without_a_word() {
    let simulator = Simulator::builder().close_idle_after(secs(5)).latency(Latency::fixed(secs(60))).build();
    let mut client = Client::to(&simulator).await;
    for _ in 0..3 {
        // A short pause is not idleness. A long answer is not either.
        let got = client.chat(&chat("hello")).await;
        assert_eq!((got.status.as_u16(), got.header("connection")), (200, None));
        sleep(ms(4_900)).await;
    }
    sleep(ms(200)).await;
    assert!(client.is_closed().await);
    assert!(client.send(Method::POST, CHAT, chat("hello").to_string()).await.is_err());
    assert_eq!(simulator.ledger().sends(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_not_idleness() {
    let simulator = Simulator::builder().close_idle_after(secs(5)).build();
    let mut io = simulator.connect();
    let body = chat("hello").to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    io.write_all(head.as_bytes()).await.unwrap();
    for byte in body.bytes() {
        sleep(secs(1)).await;
        io.write_all(&[byte]).await.unwrap();
    }
    let mut reply = String::new();
    io.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_asks_is_idle_too() {
    let simulator = Simulator::builder().close_idle_after(secs(5)).build();
    let mut io = simulator.connect();
    assert_eq!(io.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(simulator.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_http_are_survived() {
    let simulator = Simulator::builder().build();
    for bytes in [&b"\x16\x03\x01 hello"[..], b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", &[0; 4096]] {
        let mut io = simulator.connect();
        io.write_all(bytes).await.unwrap();
        io.shutdown().await.unwrap();
        let mut reply = Vec::new();
        io.read_to_end(&mut reply).await.unwrap();
    }
    // A request that was cut in the middle of its body does not count as sent.
    let mut io = simulator.connect();
    io.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n{\"mod")
        .await
        .unwrap();
    sleep(ms(1)).await;
    drop(io);
    sleep(ms(1)).await;
    assert_eq!(simulator.ledger().sends(), 0);
    assert_eq!(Client::to(&simulator).await.chat(&chat("hello")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn shutdown_closes_everything_and_waits_for_it() {
    let simulator = Simulator::builder().fault(Fault::Silence, 1.0).build();
    let mut clients = [Client::to(&simulator).await, Client::to(&simulator).await];
    let idle = Client::to(&simulator).await;
    let [one, other] = &mut clients;
    let (one, other) = tokio::join!(one.send(Method::POST, CHAT, chat("a").to_string()), async {
        sleep(secs(1)).await;
        simulator.shutdown().await;
        other.send(Method::POST, CHAT, chat("b").to_string()).await
    });
    assert!(one.is_err() && other.is_err());
    assert!(idle.is_closed().await);
    assert_eq!(simulator.ledger().sends(), 1);
    // A second shutdown does nothing, and a connection that is opened afterwards is closed at once.
    simulator.shutdown().await;
    assert_eq!(simulator.connect().read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_it() {
    let simulator = Simulator::builder().build();
    let clone = simulator.clone();
    let mut client = Client::to(&simulator).await;
    drop(simulator);
    assert_eq!(client.chat(&chat("hello")).await.status, 200);
    drop(clone);
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn requests_in_hand_are_counted() {
    let simulator = Simulator::builder().latency(Latency::fixed(secs(1))).build();
    let mut tasks = tokio::task::JoinSet::new();
    for prompt in 0..7 {
        let mut client = Client::to(&simulator).await;
        tasks.spawn(async move { client.chat(&chat(&prompt.to_string())).await.status });
    }
    tasks.join_all().await;
    send_one(&simulator).await;
    assert_eq!(simulator.ledger().peak_concurrency(), 7);
}

async fn send_one(simulator: &Simulator) {
    Client::to(simulator).await.chat(&chat("alone")).await;
}

#[tokio::test]
async fn a_reset_over_tcp_is_a_reset() {
    let simulator = Simulator::builder()
        .fault_on_attempt(Fault::ResetBeforeHeaders, 1)
        .fault_on_attempt(Fault::ResetAfterHeaders { after: 2 }, 2)
        .build();
    let address = simulator.listen("127.0.0.1:0").await.unwrap();
    let body = streamed(chat("hello")).to_string();
    let request = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for has_head in [false, true] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        let error = stream.read_to_end(&mut reply).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(reply.starts_with(b"HTTP/1.1 200"), has_head);
    }
    simulator.shutdown().await;
    assert!(simulator.ledger().entries().iter().all(|entry| entry.outcome == Outcome::Broken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_see_one_ledger() {
    let simulator = Simulator::builder().requests_per_minute(60).build();
    let address = simulator.listen("127.0.0.1:0").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        tasks.spawn(async move {
            let mut client = Client::new(TcpStream::connect(address).await.unwrap()).await;
            let mut answered = 0;
            for prompt in 0..10 {
                answered += usize::from(client.chat(&chat(&format!("{task} {prompt}"))).await.status == 200);
            }
            answered
        });
    }
    let answered: usize = tasks.join_all().await.into_iter().sum();
    let ledger = simulator.ledger();
    assert_eq!((ledger.sends(), ledger.answered()), (80, answered));
    // The limit of a minute at once, and what one or two seconds refill.
    assert!((60..66).contains(&answered), "{answered}");
    simulator.shutdown().await;
}
