//! A server in memory, for tests.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::{io::DuplexStream, sync::Notify};

use super::whole;
use crate::{
    body::Body,
    connect::{Connect, Connected, Connecting},
    origin::Origin,
};

/// A server in memory, for [`ClientBuilder::connector`](crate::ClientBuilder::connector). A function of the test
/// answers the requests to every origin.
///
/// It speaks HTTP/1.1; with [`http2`](Self::http2) it speaks HTTP/2, to a client with
/// [`http2_prior_knowledge`](crate::ClientBuilder::http2_prior_knowledge). [`requests`](Self::requests) returns what
/// it was asked. A clone is another handle on the same server. Each connection has a task, which ends with the
/// connection.
#[derive(Clone)]
pub struct Mock(Arc<Shared>);

struct Shared {
    answer: Box<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>,
    requests: Mutex<Vec<Request<Bytes>>>,
    connections: AtomicUsize,
    http2: AtomicBool,
    /// After how many requests a connection takes no more. 0: never.
    last: AtomicUsize,
}

type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl Mock {
    // About as much as a socket holds.
    const PIPE: usize = 64 << 10;

    /// A server that answers with this function. The future may sleep: under the paused clock that takes no real
    /// time.
    pub fn new<F, Fut>(answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        Self(Arc::new(Shared {
            answer: Box::new(move |request| Box::pin(answer(request))),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            http2: AtomicBool::new(false),
            last: AtomicUsize::new(0),
        }))
    }

    /// New connections speak HTTP/2.
    pub fn http2(self) -> Self {
        self.0.http2.store(true, Ordering::Relaxed);
        self
    }

    /// Each connection takes this many requests, at least 1. Then it says GOAWAY (HTTP/2) or `connection: close`
    /// (HTTP/1.1).
    pub fn go_away_after(self, requests: usize) -> Self {
        self.0.last.store(requests.max(1), Ordering::Relaxed);
        self
    }

    /// All requests that were received completely, in order.
    pub fn requests(&self) -> Vec<Request<Bytes>> {
        self.0.requests.lock().clone()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }
}

impl Connect for Mock {
    fn connect(&self, _: &Origin) -> Connecting {
        let (near, far) = tokio::io::duplex(Self::PIPE);
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(serve(self.0.clone(), far));
        Box::pin(async { Ok(Connected::from(near)) })
    }
}

async fn serve(shared: Arc<Shared>, pipe: DuplexStream) {
    let (http2, last) = (shared.http2.load(Ordering::Relaxed), shared.last.load(Ordering::Relaxed));
    let (enough, served) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let told = enough.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = shared.clone();
        // Set before the request is answered, so that the reply announces it.
        if served.fetch_add(1, Ordering::Relaxed) + 1 == last {
            enough.notify_one();
        }
        async move {
            tokio::task::yield_now().await;
            let (head, body) = request.into_parts();
            // A request that was cut gets no answer.
            let body = whole(body).await.map_err(|_| io::ErrorKind::UnexpectedEof)?;
            let request = Request::from_parts(head, body);
            shared.requests.lock().push(request.clone());
            Ok::<_, io::Error>((shared.answer)(request).await)
        }
    });
    let io = TokioIo::new(pipe);
    // The client reports how a connection ended, so the error is ignored here.
    if http2 {
        let mut connection =
            std::pin::pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service));
        tokio::select! {
            biased;
            () = told.notified() => connection.as_mut().graceful_shutdown(),
            _ = connection.as_mut() => return,
        }
        let _ = connection.await;
    } else {
        let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(io, service));
        tokio::select! {
            biased;
            () = told.notified() => connection.as_mut().graceful_shutdown(),
            _ = connection.as_mut() => return,
        }
        let _ = connection.await;
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock")
            .field("connections", &self.connections())
            .field("requests", &self.0.requests.lock().len())
            .finish_non_exhaustive()
    }
}
