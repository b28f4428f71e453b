//! Replies that are recorded from a real server once, and replayed from a file afterwards.

use std::{
    collections::VecDeque,
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use super::whole;
use crate::{
    body::Body,
    error::BoxError,
    layers::ClientService,
    secret::{Secret, is_secret},
    target::{without_pairs, without_query},
};

/// Replies in a file: recorded from a server once, and the same in each later run. It is a layer, for
/// [`ClientBuilder::layer`](crate::ClientBuilder::layer).
///
/// Each line of the file is a JSON text with a request and its reply. A request finds its reply by method, URL and
/// body. Each reply is given once, in the order of recording. If there is none left, the request fails with an error
/// of [`Kind::Layer`](crate::Kind::Layer). A body that is a stream is not compared.
///
/// The file contains no secret that is known. The client's own key and default headers are added below the layers.
/// Headers whose names say that they carry a secret, and values that are marked as sensitive, are written as
/// `[redacted]`. The usual secret keys of queries (`key`, `api_key`, `access_token`, `sig` and the like) are left
/// out. Use [`redact`](Self::redact) for further secrets. Still read a file before you publish it, because a body may
/// contain anything.
///
/// A reply is read completely before it is passed on, and is recorded as it came. If it has a content coding, it is
/// recorded encoded, and no secret can be found in it.
#[derive(Clone)]
pub struct Tape {
    mode: Arc<Mode>,
    secrets: Vec<Secret>,
}

enum Mode {
    Record(Mutex<File>),
    Replay(Mutex<VecDeque<Exchange>>),
}

#[derive(Serialize, Deserialize)]
struct Exchange {
    method: String,
    url: String,
    request_headers: Vec<(String, String)>,
    request_body: Option<Content>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Content,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

impl Tape {
    /// Sends each request, and writes requests and replies to a new file.
    ///
    /// # Errors
    ///
    /// If the file cannot be created, or exists already.
    pub fn record(path: impl Into<PathBuf>) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path.into())?;
        Ok(Self { mode: Arc::new(Mode::Record(Mutex::new(file))), secrets: Vec::new() })
    }

    /// Answers from a file. Nothing is sent.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not a recording.
    pub fn replay(path: impl Into<PathBuf>) -> io::Result<Self> {
        let text = std::fs::read_to_string(path.into())?;
        let exchanges = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { mode: Arc::new(Mode::Replay(Mutex::new(exchanges))), secrets: Vec::new() })
    }

    /// Keeps a secret out of the file: in URLs, headers and bodies, as [`Secret::redact`] finds it. A replay needs
    /// the same secret to find a request that contains it.
    pub fn redact(mut self, secret: impl Into<Secret>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    fn clean(&self, bytes: &[u8]) -> Vec<u8> {
        self.secrets.iter().fold(bytes.to_vec(), |bytes, secret| secret.redact_bytes(&bytes).into_owned())
    }

    fn text(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(&self.clean(bytes)).into_owned()
    }

    fn content(&self, bytes: &[u8]) -> Content {
        String::from_utf8(self.clean(bytes))
            .map_or_else(|error| Content::Bytes(error.into_bytes()), Content::Text)
    }

    fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let value =
            |name: &HeaderName, value: &HeaderValue| match value.is_sensitive() || is_secret(name.as_str()) {
                true => "[redacted]".to_owned(),
                false => self.text(value.as_bytes()),
            };
        headers.iter().map(|(name, of)| (name.to_string(), value(name, of))).collect()
    }

    /// The recorded form of a request, by which its reply is found. The reply is added later.
    fn asked(&self, request: &Request<Body>) -> Exchange {
        Exchange {
            method: request.method().to_string(),
            url: self.text(without_pairs(&request.uri().to_string(), &QUERY.map(str::to_owned)).as_bytes()),
            request_headers: self.headers(request.headers()),
            request_body: request.body().as_bytes().map(|bytes| self.content(bytes)),
            status: 0,
            headers: Vec::new(),
            body: Content::Text(String::new()),
        }
    }
}

/// Query keys that carry secrets, as vendors and cloud storage name them.
const QUERY: [&str; 14] = [
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "client_secret",
    "key",
    "password",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-security-token",
    "x-amz-signature",
];

impl Layer<ClientService> for Tape {
    type Service = TapeService;

    fn layer(&self, inner: ClientService) -> TapeService {
        TapeService { inner, tape: self.clone() }
    }
}

/// The service of a [`Tape`].
#[derive(Clone, Debug)]
pub struct TapeService {
    inner: ClientService,
    tape: Tape,
}

impl Service<Request<Body>> for TapeService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { mut inner, tape } = self.clone();
        Box::pin(async move {
            let mut exchange = tape.asked(&request);
            let file = match &*tape.mode {
                Mode::Record(file) => file,
                Mode::Replay(exchanges) => return found(&exchange, &mut exchanges.lock()),
            };
            let (head, body) = inner.call(request).await?.into_parts();
            let body = whole(body).await?;
            exchange.status = head.status.as_u16();
            exchange.headers = tape.headers(&head.headers);
            exchange.body = tape.content(&body);
            let mut line = serde_json::to_vec(&exchange)?;
            line.push(b'\n');
            file.lock().write_all(&line)?;
            Ok(Response::from_parts(head, Body::bytes(body)))
        })
    }
}

fn found(asked: &Exchange, exchanges: &mut VecDeque<Exchange>) -> Result<Response<Body>, BoxError> {
    let is_same = |exchange: &Exchange| {
        exchange.method == asked.method
            && exchange.url == asked.url
            && exchange.request_body == asked.request_body
    };
    let exchange = exchanges.iter().position(is_same).and_then(|place| exchanges.remove(place));
    let Some(exchange) = exchange else {
        let url = without_query(&asked.url);
        return Err(format!("the tape has no reply left for {} {url}", asked.method).into());
    };
    let body = match exchange.body {
        Content::Text(text) => Body::from(text),
        Content::Bytes(bytes) => Body::from(bytes),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(exchange.status)?;
    // These describe the body before anything was removed from it.
    let framing = ["content-length", "transfer-encoding"];
    for (name, value) in exchange.headers.into_iter().filter(|(name, _)| !framing.contains(&name.as_str())) {
        response.headers_mut().append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok(response)
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.mode {
            Mode::Record(_) => "Tape(record)",
            Mode::Replay(_) => "Tape(replay)",
        })
    }
}
