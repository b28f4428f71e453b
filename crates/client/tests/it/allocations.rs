//! Tests: how many allocations a request on an open connection makes, compared with a bare hyper connection.

use std::{net::SocketAddr, thread, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use outbound_client::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

const REQUESTS: u64 = 200;
/// Together with the client's and hyper's headers, these are as many as a map holds without an expensive allocation.
const HEADERS: [(&str, &str); 3] =
    [("authorization", "Bearer 1"), ("content-type", "application/json"), ("x-a", "b")];
const BODY: Bytes = Bytes::from_static(&[b'x'; 1024]);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A server on a thread of its own, so that its allocations are not counted. It ends with the test process.
fn server<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream));
            }
        });
    });
    told.recv().unwrap()
}

/// With `apart`, the body of a reply is sent separately from its head.
fn http1_server(apart: bool) -> SocketAddr {
    server(move |mut stream| async move {
        let mut buffer = vec![0; 64 << 10];
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            filled += read;
            let head = buffer[..filled].windows(4).position(|end| end == b"\r\n\r\n");
            let Some(head) = head else { continue };
            let body = if buffer.starts_with(b"POST") { BODY.len() } else { 0 };
            if filled < head + 4 + body {
                continue;
            }
            filled = 0;
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 128\r\n\r\n";
            if apart {
                stream.write_all(reply).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                stream.write_all(&[b'y'; 128]).await.unwrap();
            } else {
                stream.write_all(&[&reply[..], &[b'y'; 128]].concat()).await.unwrap();
            }
        }
    })
}

fn http2_server() -> SocketAddr {
    server(|stream| {
        crate::support::serve_http2(stream, |request, mut respond| async move {
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
            }
            if let Ok(mut stream) = respond.send_response(Response::new(()), false) {
                let _ = stream.send_data(Bytes::from_static(&[b'y'; 128]), true);
            }
        })
    })
}

/// Allocations for each request, rounded, so that one additional wake-up or read does not count.
fn each(runtime: &Runtime, mut request: impl AsyncFnMut()) -> f64 {
    runtime.block_on(async {
        for _ in 0..50 {
            request().await;
        }
    });
    let counted = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..REQUESTS {
                request().await;
            }
        });
    });
    (counted.count_total as f64) / (REQUESTS as f64)
}

fn raw_http1(address: SocketAddr, post: bool) -> f64 {
    let runtime = runtime();
    let mut sender = runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    });
    each(&runtime, async || {
        let request = if post { Request::post("/v1/x") } else { Request::get("/v1/x") };
        let body = if post { BODY } else { Bytes::new() };
        let request = request.header(header::HOST, "a.test").body(Full::new(body)).unwrap();
        sender.ready().await.unwrap();
        let mut body = sender.send_request(request).await.unwrap().into_body();
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
    })
}

fn raw_http2(address: SocketAddr, post: bool) -> f64 {
    let runtime = runtime();
    let mut sender = runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    });
    each(&runtime, async || {
        let mut request = match post {
            true => Request::post("http://a.test/v1/x"),
            false => Request::get("http://a.test/v1/x"),
        };
        if post {
            request = HEADERS.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        }
        let body = if post { BODY } else { Bytes::new() };
        let request = request.body(Full::new(body)).unwrap();
        let mut body = sender.send_request(request).await.unwrap().into_body();
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
    })
}

fn ours(address: SocketAddr, http2: bool, post: bool) -> f64 {
    let runtime = runtime();
    let mut builder = Client::builder().no_proxy().base_url(format!("http://{address}/v1"));
    if http2 {
        builder = builder.http2_prior_knowledge();
    }
    let client = builder.build().unwrap();
    each(&runtime, async || {
        let request = match post {
            true => HEADERS
                .iter()
                .fold(client.post("/x"), |request, (name, value)| request.header(*name, *value))
                .body(BODY),
            false => client.get("/x"),
        };
        let mut reply = request.send().await.unwrap();
        while let Some(piece) = reply.chunk().await {
            piece.unwrap();
        }
    })
}

#[test]
fn a_warm_request_allocates_hardly_more_than_hyper_alone() {
    // With HTTP/1.1, the bare POST does not have the three headers that ours has.
    let address = http1_server(false);
    let (get, post) = (raw_http1(address, false), raw_http1(address, true));
    let (our_get, our_post) = (ours(address, false, false), ours(address, false, true));
    assert!(get > 5.0 && our_get <= get + 2.0, "{our_get} for a GET, raw {get}");
    assert!(our_post <= post + 5.0, "{our_post} for a POST, raw {post}");
    let address = http2_server();
    for post in [false, true] {
        let (raw, ours) = (raw_http2(address, post), ours(address, true, post));
        assert!(raw > 5.0 && ours <= raw + 2.0, "{ours} over HTTP/2 (POST: {post}), raw {raw}");
    }
}

#[test]
fn no_task_is_spawned_for_a_request() {
    let runtime = runtime();
    let client =
        Client::builder().no_proxy().base_url(format!("http://{}/v1", http1_server(true))).build().unwrap();
    runtime.block_on(async {
        let tasks = tokio::runtime::Handle::current().metrics();
        for _ in 0..100 {
            let reply = client.get("/x").send().await.unwrap();
            assert_eq!(tasks.num_alive_tasks(), 1, "the connection's");
            assert_eq!(reply.bytes().await.unwrap().len(), 128);
            assert_eq!(tasks.num_alive_tasks(), 1, "the connection's");
        }
    });
}
