//! The server of the HTTP examples.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::Result;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A server on a loopback port that the system chose. It speaks HTTP/1.1 and, to those who begin with it, HTTP/2.
///
/// | path | reply |
/// |---|---|
/// | `/echo` | what it received, as JSON: `method`, `path`, `query`, `headers`, `body`, `bytes` |
/// | `/chunks` | five lines of text, one every 20 ms |
/// | `/events` | five server-sent events, one every 20 ms |
/// | `/moved` | a redirect (307) to `/echo` |
/// | `/login` | a cookie, `session=17` |
/// | any other | 404 and a sentence |
///
/// Dropping it ends it, and all of its connections.
#[derive(Debug)]
pub struct EchoServer {
    url: String,
    connections: Arc<AtomicUsize>,
    // Its connections are tasks in a set of its own, and end with it.
    _task: JoinSet<()>,
}

impl EchoServer {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// If no port of the loopback interface can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let connections = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&connections), None));
        Ok(Self { url, connections, _task: task })
    }

    /// Starts a server that speaks TLS, and returns it with its own certificate in PEM. Nobody vouches for that one: a
    /// client has to be told to trust it.
    ///
    /// # Errors
    ///
    /// If no port of the loopback interface can be had, or no certificate can be made.
    pub async fn start_tls() -> Result<(Self, String)> {
        let certified = rcgen::generate_simple_self_signed([String::from("localhost")])?;
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let connections = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&connections), Some(Arc::new(config).into())));
        Ok((Self { url, connections, _task: task }, certified.cert.pem()))
    }

    /// Where it is, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many connections it has accepted since this was last asked.
    pub fn take_connections(&self) -> usize {
        self.connections.swap(0, Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, count: Arc<AtomicUsize>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        count.fetch_add(1, Ordering::SeqCst);
        // A reply in small pieces must not wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        let tls = tls.clone();
        connections.spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A client may leave at any time. That is no error of the server.
            let _ = match tls {
                None => server.serve_connection(TokioIo::new(stream), service_fn(answer)).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => server.serve_connection(TokioIo::new(stream), service_fn(answer)).await,
                    Err(_) => Ok(()),
                },
            };
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    match request.uri().path() {
        "/echo" => echo(request).await,
        "/chunks" => Ok(slowly("text/plain", |n| format!("line {n}\n"))),
        "/events" => Ok(slowly("text/event-stream", |n| format!("id: {n}\ndata: {{\"step\": {n}}}\n\n"))),
        "/moved" => {
            let mut reply = Response::new(Full::default().boxed_unsync());
            *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            reply.headers_mut().insert(LOCATION, HeaderValue::from_static("/echo"));
            Ok(reply)
        }
        "/login" => {
            let mut reply = Response::new(Full::default().boxed_unsync());
            reply.headers_mut().insert(SET_COOKIE, HeaderValue::from_static("session=17; Path=/; HttpOnly"));
            Ok(reply)
        }
        path => {
            let body = Full::from(format!("there is nothing at {path}"));
            let mut reply = Response::new(body.boxed_unsync());
            *reply.status_mut() = StatusCode::NOT_FOUND;
            Ok(reply)
        }
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let headers: BTreeMap<_, _> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let echo = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "bytes": body.len(),
    });
    Ok(typed("application/json", Full::from(echo.to_string()).boxed_unsync()))
}

/// A reply that comes in five pieces.
fn slowly(content_type: &'static str, piece: impl Fn(usize) -> String + Send + 'static) -> Response<Body> {
    let pieces = stream::iter(1..=5).then(move |n| {
        let frame = Frame::data(Bytes::from(piece(n)));
        async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(frame)
        }
    });
    typed(content_type, StreamBody::new(pieces).boxed_unsync())
}

fn typed(content_type: &'static str, body: Body) -> Response<Body> {
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
