//! The simplest client: one connection, one request at a time, and every byte reported.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use outbound_simulator::Simulator;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A chat of one message, which costs `ceil(len / 4)` input tokens.
pub(crate) fn chat(prompt: &str) -> Value {
    json!({ "model": "test-model", "messages": [{ "role": "user", "content": prompt }] })
}

pub(crate) fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body
}

/// What came back: a head, the frames of the body with the time of each, and how it ended.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) frames: Vec<(Duration, Bytes)>,
    /// False if the body was cut.
    pub(crate) is_whole: bool,
}

impl Got {
    pub(crate) fn body(&self) -> Vec<u8> {
        self.frames.iter().flat_map(|(_, frame)| frame.to_vec()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The data of each server-sent event, with its name.
    pub(crate) fn events(&self) -> Vec<(Option<String>, String)> {
        let text = self.text();
        let field = |event: &str, name: &str| {
            event.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))
        };
        text.split_terminator("\n\n")
            .filter_map(|event| Some((field(event, "event: "), field(event, "data: ")?)))
            .collect()
    }
}

/// One connection.
pub(crate) struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    headers: HeaderMap,
    pub(crate) started: Instant,
}

impl Client {
    pub(crate) async fn new(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, headers: HeaderMap::new(), started: Instant::now() }
    }

    pub(crate) async fn to(simulator: &Simulator) -> Self {
        Self::new(simulator.connect()).await
    }

    /// Sends this header with every request from now on.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) async fn head(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> hyper::Result<http::Response<Incoming>> {
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert("host", "simulator.test".parse().unwrap());
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> hyper::Result<Got> {
        let response = self.head(method, path, body).await?;
        let (parts, mut body) = response.into_parts();
        let mut got =
            Got { status: parts.status, headers: parts.headers, frames: Vec::new(), is_whole: true };
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => got.frames.push((self.started.elapsed(), frame.into_data().unwrap())),
                Err(_) => {
                    got.is_whole = false;
                    break;
                }
            }
        }
        Ok(got)
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Got {
        self.send(Method::POST, path, body.to_string()).await.unwrap()
    }

    pub(crate) async fn chat(&mut self, body: &Value) -> Got {
        self.post(CHAT, body).await
    }

    pub(crate) async fn messages(&mut self, body: &Value) -> Got {
        self.headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
        self.post(MESSAGES, body).await
    }

    /// Waits until the connection is closed, for at most a second.
    pub(crate) async fn is_closed(&self) -> bool {
        for _ in 0..100 {
            if self.sender.is_closed() {
                return true;
            }
            tokio::time::sleep(ms(10)).await;
        }
        false
    }
}
