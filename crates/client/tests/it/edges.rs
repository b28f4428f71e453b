//! Tests of rare combinations: endings that look like another ending, limits of zero, and opening while something
//! closes.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use http::{Request, Response};
use outbound_client::{Client, Kind, Limit, Limits, Origin};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::{Notify, oneshot},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    support::{OK, answering, in_memory, on_socket, read_request, secs, serve_http2, with_length, write},
    tls::over_tls,
};

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_limited_after_a_dial_that_served_another() {
    for dial in [Some(secs(10)), None] {
        let (builder, _) = over_tls(&["http/1.1"], &["h2", "http/1.1"]);
        let limits = Limits::new().pool_wait(secs(1)).dns(dial).connect(dial).tls(dial);
        let client = builder.max_connections_per_origin(1).limits(limits).build().unwrap();
        let first = tokio::spawn({
            let client = client.clone();
            async move {
                let _reply = client.get("/x").send().await.unwrap();
                sleep(secs(1_000)).await;
            }
        });
        let begun = Instant::now();
        let second = tokio::spawn(async move { client.get("/x").send().await.map(drop) });
        let error = timeout(secs(500), second).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.limit(), Some((Limit::PoolWait, secs(1))), "{dial:?}");
        assert!(begun.elapsed() < secs(2), "{dial:?}: {:?}", begun.elapsed());
        first.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_too_old_to_be_used_makes_room_for_another() {
    let (builder, seen) = in_memory(|number, pipe, _| async move {
        let serve = serve_http2(pipe, answer_ok);
        // The first three connections are closed after 5 s.
        if number < 3 { drop(timeout(secs(5), serve).await) } else { serve.await }
    });
    let builder = builder.http2_prior_knowledge().max_connections_per_origin(1);
    let client = builder.idle_timeout(None).build().unwrap();
    for pause in [0, 6, 6, 6, 5] {
        sleep(secs(pause)).await;
        let reply = timeout(secs(30), client.get("/x").send()).await.expect("there is room for one");
        assert_eq!(reply.unwrap().text().await.unwrap(), "ok");
    }
    assert_eq!(seen.connections(), 5);
}

async fn answer_ok(_: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from("ok"), true).unwrap();
}

#[tokio::test]
async fn connections_kept_for_no_time_are_not_used_again() {
    for idle in [Duration::ZERO, Duration::from_nanos(1)] {
        for lifetime in [false, true] {
            let (builder, seen) = answering(|_| OK.to_vec());
            let builder = if lifetime { builder.max_lifetime(idle) } else { builder.idle_timeout(idle) };
            let client = builder.build().unwrap();
            for _ in 0..2 {
                client.get("/x").send().await.unwrap().bytes().await.unwrap();
            }
            assert_eq!(seen.connections(), 2, "{idle:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_no_time_does_not_make_a_wait_spin() {
    let client = Client::builder()
        .connector(|_: &Origin| async {
            sleep(secs(2)).await;
            Err::<DuplexStream, _>(io::Error::other("down"))
        })
        .limits(Limits::new().tls(Duration::ZERO).pool_wait(Duration::ZERO))
        .build()
        .unwrap();
    let (mut send, mut polls) = (Box::pin(client.get("http://a.test/").send()), 0);
    let answer = poll_fn(|cx| {
        polls += 1;
        send.as_mut().poll(cx)
    });
    assert_eq!(answer.await.unwrap_err().kind(), Kind::Connect);
    assert!(polls < 5_000, "{polls} polls in 2 s");
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_is_called_no_error_is_a_cut_and_not_an_end() {
    for length in [None, Some("100")] {
        let (builder, _) = in_memory(move |_, pipe, _| {
            serve_http2(pipe, move |_, mut respond: SendResponse<Bytes>| async move {
                let mut head = Response::builder();
                if let Some(length) = length {
                    head = head.header("content-length", length);
                }
                let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
                body.send_data(Bytes::from("{}\n"), false).unwrap();
                sleep(secs(1)).await;
                body.send_reset(Reason::NO_ERROR);
            })
        });
        let client = builder.http2_prior_knowledge().build().unwrap();
        let reply = client.post("/x").body("sent whole").send().await.unwrap();
        assert_eq!(reply.bytes().await.unwrap_err().kind(), Kind::Reset, "{length:?}");
        let mut values = client.get("/x").send().await.unwrap().ndjson::<serde_json::Value>();
        assert!(values.next().await.unwrap().is_ok());
        assert_eq!(values.next().await.unwrap().unwrap_err().kind(), Kind::Reset, "{length:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_are_an_end() {
    let (builder, _) = in_memory(|_, pipe, _| {
        serve_http2(pipe, |_, mut respond: SendResponse<Bytes>| async move {
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from("a"), false).unwrap();
            sleep(secs(1)).await;
            body.send_trailers(http::HeaderMap::new()).unwrap();
        })
    });
    let client = builder.http2_prior_knowledge().build().unwrap();
    assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "a");
}

/// A transport that panics at the second piece.
struct Panics(DuplexStream, u32);

impl AsyncRead for Panics {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        self.1 += u32::from(read.is_ready());
        assert!(self.1 < 2, "a transport that panics");
        read
    }
}

impl AsyncWrite for Panics {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn less_than_the_head_told_is_no_whole_reply_whatever_ended_it() {
    let client = Client::builder()
        .connector(|_: &Origin| {
            let (near, mut far) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                read_request(&mut far, 0).await;
                write(&mut far, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await;
                sleep(secs(1)).await;
                write(&mut far, "more").await;
                sleep(secs(100)).await;
            });
            async { Ok(Panics(near, 0)) }
        })
        .build()
        .unwrap();
    let reply = client.get("http://a.test/").send().await.unwrap();
    assert_eq!(reply.bytes().await.unwrap_err().kind(), Kind::Closed);
}

#[tokio::test(start_paused = true)]
async fn marks_and_labels_that_say_nothing_are_passed_over() {
    let (builder, _) =
        answering(|_| with_length("200 OK\r\ncontent-type: text/plain; charset=", "\u{feff}{}"));
    let client = builder.build().unwrap();
    assert!(client.get("/x").send().await.unwrap().json::<serde_json::Value>().await.is_ok());
    let (builder, _) = answering(|_| with_length("200 OK\r\ncontent-type: text/plain; charset=", "{}"));
    let client = builder.build().unwrap();
    assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "{}");
}

#[tokio::test]
async fn a_look_up_begun_before_a_drain_is_not_kept_after_it() {
    let server = on_socket(|number, mut socket, _| async move {
        while read_request(&mut socket, number).await.is_some() {
            write(&mut socket, OK).await;
        }
    })
    .await;
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let resolver = {
        let (asked, gate) = (asked.clone(), gate.clone());
        move |_: &str, _: u16| {
            let (first, gate) = (asked.fetch_add(1, Ordering::SeqCst) == 0, gate.clone());
            async move {
                if first {
                    gate.notified().await;
                }
                Ok::<_, io::Error>(vec![std::net::SocketAddr::from(([127, 0, 0, 1], port))])
            }
        }
    };
    let client = Client::builder().no_proxy().resolver(resolver).build().unwrap();
    let get = || {
        let client = client.clone();
        async move { client.get("http://a.test/").send().await.unwrap().bytes().await.unwrap() }
    };
    let first = tokio::spawn(get());
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let drained = client.drain();
    get().await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "it was looked up anew");
    gate.notify_one();
    first.await.unwrap();
    drained.await;
}

/// An error that uses the client when it is dropped.
struct Foreign(Mutex<Option<Client>>);

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Foreign")
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("foreign")
    }
}

impl std::error::Error for Foreign {}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(client) = self.0.get_mut().unwrap().take() {
            client.snapshot();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_nobody_waits_for_is_not_dropped_under_the_lock() {
    let slot = Arc::new(Mutex::new(None::<Client>));
    let (failed, fails) = oneshot::channel();
    let failed = Mutex::new(Some(failed));
    let connector = {
        let slot = slot.clone();
        move |_: &Origin| {
            let (client, failed) = (slot.lock().unwrap().clone(), failed.lock().unwrap().take());
            async move {
                sleep(secs(2)).await;
                let _ = failed.map(|failed| failed.send(()));
                Err::<DuplexStream, _>(io::Error::other(Foreign(Mutex::new(client))))
            }
        }
    };
    let client = Client::builder().connector(connector).build().unwrap();
    *slot.lock().unwrap() = Some(client.clone());
    assert!(timeout(secs(1), client.get("http://a.test/").send()).await.is_err());
    fails.await.unwrap();
    sleep(secs(1)).await;
    assert_eq!(client.snapshot()[0].dialing, 0);
    *slot.lock().unwrap() = None;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_place_over_all_origins_is_never_lost() {
    let (builder, _) = in_memory(|number, mut pipe, _| async move {
        if read_request(&mut pipe, number).await.is_some() {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            write(&mut pipe, head).await;
        }
    });
    let client = builder.max_connections(1).build().unwrap();
    for round in 0..1_500 {
        let mut requests = JoinSet::new();
        for n in 0..2 {
            let client = client.clone();
            requests.spawn(async move {
                let url = format!("http://{n}.test/");
                let reply = timeout(secs(20), client.get(&url).send()).await.expect("a place");
                reply.unwrap().bytes().await.unwrap();
            });
        }
        while let Some(ended) = requests.join_next().await {
            ended.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
}
