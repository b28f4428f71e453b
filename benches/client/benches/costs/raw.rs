//! The floor: connections of hyper's, held by the one who uses them.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

pub(super) struct Http1(http1::SendRequest<Full<Bytes>>);

impl Http1 {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        Self(sender)
    }

    /// The size of the reply's body.
    pub(super) async fn request(&mut self, method: Method, path: &'static str, body: Bytes) -> usize {
        self.0.ready().await.expect("an open connection");
        read(self.0.send_request(request(method, Uri::from_static(path), body)).await.expect("a reply")).await
    }
}

pub(super) struct Http2(http2::SendRequest<Full<Bytes>>);

impl Http2 {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.expect("a connection");
        tokio::spawn(connection);
        Self(sender)
    }

    pub(super) async fn request(&mut self, method: Method, body: Bytes) -> usize {
        self.0.ready().await.expect("an open connection");
        let request = request(method, Uri::from_static("http://bench.test/"), body);
        read(self.0.send_request(request).await.expect("a reply")).await
    }
}

fn request(method: Method, uri: Uri, body: Bytes) -> Request<Full<Bytes>> {
    let has_body = !body.is_empty();
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("bench.test"));
    // The client's own.
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("outbound-client/0.1.0"));
    if has_body {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    request
}

async fn read(reply: Response<Incoming>) -> usize {
    assert!(reply.status().is_success());
    let mut body = reply.into_body();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        size += frame.expect("a whole body").data_ref().map_or(0, Bytes::len);
    }
    size
}
