//! Real sockets on loopback, in real time.

use futures::future::join_all;
use outbound::{ErrorKind, Provider, RequestManager};

use crate::stack::{KEY, chat, ms, provider, s};

/// stale-socket: the server closes an idle connection as a request is being written to it.
#[tokio::test]
async fn stale_socket() {
    let simulator = provider().latency(outbound_simulator::Latency::none()).close_idle_after(ms(30)).build();
    let address = simulator.listen("127.0.0.1:0").await.expect("a port");
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(format!("http://{address}/v1"))
        .key(KEY)
        .change_client(outbound::ClientBuilder::no_proxy)
        .build()
        .expect("a manager");
    for id in 0..20 {
        let outcome = manager.send(chat(id)).await;
        assert!(outcome.result.is_ok(), "{outcome:?}");
        tokio::time::sleep(ms(28 + id as u64 % 5)).await;
    }
    // Other requests: the same id would repeat the key.
    for outcome in join_all((100..150).map(|id| manager.send(chat(id)))).await {
        assert!(outcome.result.is_ok(), "{outcome:?}");
    }
    assert_eq!(simulator.ledger().duplicates(), 0);
    manager.shutdown(s(1)).await;
    simulator.shutdown().await;
}

#[tokio::test]
async fn an_unreachable_address_is_a_clear_error() {
    // A port that was free a moment ago.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let manager = RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(format!("http://127.0.0.1:{port}/v1"))
        .change_client(outbound::ClientBuilder::no_proxy)
        .unreachable_timeout(s(2))
        .build()
        .expect("a manager");
    let mut batch = manager.batch((0..30).map(chat));
    assert!(batch.next().await.is_none(), "nothing was sent, so there is no outcome");
    let why = batch.stopped().expect("a reason");
    assert_eq!(why.kind, ErrorKind::Connection);
    assert!(why.message.contains(&port.to_string()), "{}", why.message);
    let outcome = manager.send(chat(30)).await;
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Stopped), 0));
}
