//! Tests: whether a request was delivered, according to its error, and which requests are sent again.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use outbound_client::{Client, ConnectFailure, Delivery, Error, Kind, Origin, Phase};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpListener,
    time::sleep,
};

use crate::support::{OK, in_memory, on_socket, read_head, read_request, write};

fn verdict(error: &Error) -> (Kind, Phase, Delivery) {
    (error.kind(), error.phase(), error.delivery())
}

#[tokio::test]
async fn an_address_that_refuses_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x?key=1", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::builder().no_proxy().build().unwrap();
    let error = client.get(&url).send().await.unwrap_err();
    assert_eq!(verdict(&error), (Kind::Connect, Phase::Connect, Delivery::NotSent));
    assert_eq!(error.connect_failure(), Some(ConnectFailure::Refused));
    assert!(std::error::Error::source(&error).is_some());
    assert!(!error.to_string().contains("key"));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_not_sent() {
    let client = Client::builder().no_proxy().build().unwrap();
    let error = client.get("http://name.invalid/").send().await.unwrap_err();
    assert_eq!(verdict(&error), (Kind::Connect, Phase::Dns, Delivery::NotSent));
}

#[tokio::test]
async fn a_reset_before_the_head_is_maybe_sent() {
    let server = on_socket(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
    let error = client.post("/x").body("hello").send().await.unwrap_err();
    assert_eq!(verdict(&error), (Kind::Closed, Phase::Head, Delivery::MaybeSent));
    assert_eq!(server.seen.connections(), 1);
    assert_eq!(error.connect_failure(), None);
}

#[tokio::test]
async fn a_close_without_an_answer_is_maybe_sent() {
    let server = on_socket(|_, mut stream, _| async move {
        read_head(&mut stream).await;
    })
    .await;
    let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!(verdict(&error), (Kind::Closed, Phase::Head, Delivery::MaybeSent));
}

#[tokio::test]
async fn a_body_that_is_cut_is_replied_and_never_a_short_body() {
    for head in ["content-length: 10", "transfer-encoding: chunked"] {
        let server = on_socket(move |_, mut stream, _| async move {
            read_head(&mut stream).await;
            write(&mut stream, format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nab")).await;
        })
        .await;
        let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
        let error = client.get("/x").send().await.unwrap().bytes().await.unwrap_err();
        assert_eq!(verdict(&error), (Kind::Closed, Phase::Body, Delivery::Replied), "{head}");
    }
}

#[tokio::test]
async fn a_reset_in_the_body_is_replied() {
    let server = on_socket(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab").await;
        sleep(Duration::from_millis(20)).await;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    let client = Client::builder().no_proxy().base_url(&server.url).build().unwrap();
    let error = client.get("/x").send().await.unwrap().bytes().await.unwrap_err();
    assert_eq!(verdict(&error), (Kind::Closed, Phase::Body, Delivery::Replied));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_a_broken_protocol() {
    for reply in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 99 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
    ] {
        let (builder, _) = in_memory(move |_, mut pipe, _| async move {
            read_head(&mut pipe).await;
            write(&mut pipe, reply).await;
            let _ = pipe.read_to_end(&mut Vec::new()).await;
        });
        let error = builder.build().unwrap().get("/x").send().await.unwrap_err();
        assert_eq!(verdict(&error), (Kind::Protocol, Phase::Head, Delivery::Replied), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_a_reply_never_reach_the_next_request() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        while let Some(request) = read_request(&mut pipe, number).await {
            seen.requests.lock().unwrap().push(request);
            write(&mut pipe, [OK, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"].concat()).await;
        }
    });
    let client = builder.build().unwrap();
    for round in 0..6 {
        assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "ok");
        if round % 2 == 0 {
            crate::support::settle().await;
        }
    }
    assert_eq!((seen.connections(), seen.requests().len()), (6, 6));
}

/// Answers the first request of each connection, and closes the connection when the second one comes.
fn closes_at_the_second() -> (outbound_client::ClientBuilder, Arc<crate::support::Seen>) {
    in_memory(|number, mut pipe, seen| async move {
        let request = read_request(&mut pipe, number).await.unwrap();
        seen.requests.lock().unwrap().push(request);
        write(&mut pipe, OK).await;
        if let Some(request) = read_request(&mut pipe, number).await {
            seen.requests.lock().unwrap().push(request);
        }
    })
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_sent_is_not_sent_again() {
    let (builder, seen) = closes_at_the_second();
    let client = builder.build().unwrap();
    client.post("/x").body("1").send().await.unwrap().bytes().await.unwrap();
    let error = client.post("/x").body("2").send().await.unwrap_err();
    assert_eq!(verdict(&error), (Kind::Closed, Phase::Head, Delivery::MaybeSent));
    assert_eq!(seen.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_sent_is_sent_again_if_the_caller_said_so() {
    let (builder, seen) = closes_at_the_second();
    let client = builder.build().unwrap();
    for body in ["1", "2"] {
        let request = client.post("/x").query(&[("a", "b")]).header("c", "d").body(body).replayable(true);
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "ok");
    }
    let bodies: Vec<_> = seen.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [b"1", b"2", b"2"]);
    let last = &seen.requests()[2];
    assert_eq!((last.line(), last.header("c")), ("POST /v1/x?a=b HTTP/1.1", Some("d")));
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_that_ends_is_no_reason_to_send_again() {
    let (builder, seen) = in_memory(|number, mut pipe, seen| async move {
        let request = read_request(&mut pipe, number).await.unwrap();
        seen.requests.lock().unwrap().push(request);
    });
    let error = builder.build().unwrap().post("/x").replayable(true).send().await.unwrap_err();
    assert_eq!(verdict(&error), (Kind::Closed, Phase::Head, Delivery::MaybeSent));
    assert_eq!(seen.requests().len(), 1);
}

/// A pipe that ends without waking its reader: it is found dead only when it is read.
struct Dying {
    pipe: tokio::io::DuplexStream,
    dead: Arc<AtomicBool>,
}

impl AsyncRead for Dying {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.dead.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Dying {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_sent_on_another_connection_and_arrives_once() {
    let (give, mut pipes) = tokio::sync::mpsc::unbounded_channel();
    let dead = Arc::new(AtomicBool::new(false));
    let flag = dead.clone();
    let client = Client::builder()
        .base_url("http://a.test")
        .connector(move |_: &Origin| {
            let (pipe, far) = tokio::io::duplex(4096);
            give.send(far).unwrap();
            // Connections that are dialled later are alive.
            let dead = if flag.load(Ordering::SeqCst) { Arc::default() } else { flag.clone() };
            async { Ok::<_, std::io::Error>(Dying { pipe, dead }) }
        })
        .build()
        .unwrap();
    let post = |body: &'static str| {
        let request = client.post("/x").body(body).send();
        async { request.await.unwrap().text().await.unwrap() }
    };
    // As many idle connections as are tried before a new one, and one more.
    let mut idle = Vec::new();
    let all = async {
        for _ in 0..3 {
            let mut pipe = pipes.recv().await.unwrap();
            read_request(&mut pipe, 0).await.unwrap();
            idle.push(pipe);
        }
        for pipe in &mut idle {
            write(pipe, OK).await;
        }
    };
    tokio::join!(post("1"), post("2"), post("3"), all);
    crate::support::settle().await;

    dead.store(true, Ordering::SeqCst);
    let next = async {
        let mut pipe = pipes.recv().await.unwrap();
        let request = read_request(&mut pipe, 0).await.unwrap();
        write(&mut pipe, OK).await;
        (request, pipe)
    };
    let (reply, (request, _pipe)) = tokio::join!(post("4"), next);
    assert_eq!(reply, "ok");
    assert_eq!((request.line(), request.header("host")), ("POST /x HTTP/1.1", Some("a.test")));
    assert_eq!(request.body, b"4");
    assert!(pipes.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_stream_that_fails_is_the_callers_error() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        let _ = pipe.read_to_end(&mut Vec::new()).await;
    });
    let client = builder.build().unwrap();
    let failing = futures::stream::iter([Ok(Bytes::from("a")), Err(std::io::Error::other("disk on fire"))]);
    let error = client.post("/x").stream(failing, None).send().await.unwrap_err();
    assert_eq!(verdict(&error), (Kind::RequestBody, Phase::Upload, Delivery::MaybeSent));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk on fire");
    for length in [1, 3] {
        let two = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from("a")), Ok(Bytes::from("b"))]);
        let error = client.post("/x").stream(two, Some(length)).send().await.unwrap_err();
        assert_eq!(error.kind(), Kind::RequestBody, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_fails_under_its_reply_is_the_callers_error_too() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_head(&mut pipe).await;
        write(&mut pipe, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await;
        let _ = pipe.read_to_end(&mut Vec::new()).await;
    });
    let client = builder.build().unwrap();
    let failing = futures::stream::once(async {
        sleep(Duration::from_secs(5)).await;
        Err::<Bytes, _>(std::io::Error::other("disk on fire"))
    });
    let mut reply = client.post("/x").stream(failing, None).send().await.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "a");
    let error = reply.chunk().await.unwrap().unwrap_err();
    assert_eq!(verdict(&error), (Kind::RequestBody, Phase::Body, Delivery::Replied));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk on fire");
}

#[tokio::test(start_paused = true)]
async fn after_two_dead_connections_it_is_a_new_one_and_there_is_room_made_for_it() {
    let (give, mut pipes) = tokio::sync::mpsc::unbounded_channel();
    let client = Client::builder()
        .base_url("http://a.test")
        .max_connections_per_origin(1)
        .connector(move |_: &Origin| {
            let (pipe, far) = tokio::io::duplex(4096);
            let dead = Arc::new(AtomicBool::new(false));
            give.send((far, dead.clone())).unwrap();
            async { Ok::<_, std::io::Error>(Dying { pipe, dead }) }
        })
        .build()
        .unwrap();
    let post = |body: &'static str| tokio::spawn(client.post("/x").body(body).send());
    let serve = async |far: &mut tokio::io::DuplexStream| {
        let request = read_request(far, 0).await.unwrap();
        write(far, OK).await;
        String::from_utf8(request.body).unwrap()
    };

    let started = tokio::time::Instant::now();
    let first = post("first");
    let (mut a, a_is_dead) = pipes.recv().await.unwrap();
    assert_eq!(serve(&mut a).await, "first");
    first.await.unwrap().unwrap().bytes().await.unwrap();
    crate::support::settle().await;

    // It gets a connection that has died, and waits for the next one.
    a_is_dead.store(true, Ordering::SeqCst);
    let (unlucky, second) = (post("unlucky"), post("second"));
    let (mut b, b_is_dead) = pipes.recv().await.unwrap();
    assert_eq!(serve(&mut b).await, "second");
    let reply = second.await.unwrap().unwrap();
    let third = post("third");
    crate::support::settle().await;
    // It gets that connection, which has died as well, and waits for the third one.
    b_is_dead.store(true, Ordering::SeqCst);
    reply.bytes().await.unwrap();
    let (mut c, _) = pipes.recv().await.unwrap();
    assert_eq!(serve(&mut c).await, "third");
    third.await.unwrap().unwrap().bytes().await.unwrap();
    // The connection that comes back now is alive, but this is not known. It must not become idle either.
    let (mut d, _) = pipes.recv().await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(serve(&mut d).await, "unlucky");
    assert_eq!(unlucky.await.unwrap().unwrap().text().await.unwrap(), "ok");
}
