//! The opening handshake (RFC 6455, section 4): an HTTP/1.1 request to switch protocols, and the check of the
//! server's answer.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use rand::RngExt;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{OpenWebSocket, WebSocket};
use crate::{
    client::Client,
    error::{Delivery, Error, Kind, Phase},
    reply::Reply,
    request::RequestBuilder,
    secret::base64,
};

/// Marks a [`RequestBuilder`] that opens a WebSocket, from [`Client::websocket`].
#[derive(Debug)]
pub enum Handshake {}

impl Client {
    /// Starts to open a WebSocket: at a `ws` or `wss` URL, at an `http` or `https` URL, or at a path under the base
    /// URL.
    ///
    /// Headers, query, limits, proxies and all other settings are those of a request.
    /// [`connect`](RequestBuilder::connect) sends it. It always uses an HTTP/1.1 connection, and a tunnel if there is
    /// a proxy. The request's time limits hold until the WebSocket is open; after that those that [`WebSocket`]
    /// names. A redirect is not followed. Like every status except 101, it is an error of [`Kind::Status`].
    ///
    /// ```no_run
    /// # async fn run(client: outbound_client::Client) -> Result<(), outbound_client::Error> {
    /// let mut socket = client.websocket("wss://example.com/feed").connect().await?;
    /// socket.send("hello").await?;
    /// while let Some(message) = socket.next().await {
    ///     println!("{:?}", message?.as_text());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn websocket(&self, url: &str) -> RequestBuilder<Handshake> {
        let request = match with_http_scheme(url) {
            Some(url) => self.request(Method::GET, &url),
            None => self.request(Method::GET, url),
        };
        request
            .upgrade("websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, key())
            .of_kind()
    }
}

impl RequestBuilder<Handshake> {
    /// Offers subprotocols, in order of preference. The server chooses one or none: [`WebSocket::protocol`].
    pub fn protocols<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        self.header(header::SEC_WEBSOCKET_PROTOCOL, names)
    }

    /// Sends the request, and opens the WebSocket if the server agrees.
    ///
    /// # Errors
    ///
    /// Those of [`send`](RequestBuilder::send). [`Kind::Status`] with the reply if its status is 300 or more.
    /// [`Kind::Protocol`] if the server does not switch, or if its answer is not a valid proof. Then no message was
    /// sent.
    pub fn connect(self) -> OpenWebSocket {
        let headers = self.headers_ref();
        let accept = headers.get(header::SEC_WEBSOCKET_KEY).map(accept);
        let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL).cloned();
        let reply = self.send();
        OpenWebSocket::new(async move { open(reply.await?, accept, offered).await })
    }
}

async fn open(
    reply: Reply,
    accept: Option<Vec<u8>>,
    offered: Option<HeaderValue>,
) -> Result<WebSocket, Error> {
    let (origin, limits) = (reply.body.origin().cloned(), *reply.body.limits());
    if reply.status() != StatusCode::SWITCHING_PROTOCOLS {
        drop(reply.error_for_status().await?);
        return Err(refused("the server did not switch to WebSocket").at(origin.as_ref()));
    }
    let chosen =
        check(&reply, accept.as_deref(), offered.as_ref()).map_err(|why| refused(why).at(origin.as_ref()))?;
    Ok(WebSocket::new(reply.upgrade().await?, &limits, origin, chosen))
}

/// Checks the answer of the server (RFC 6455, section 4.1, the last list). Returns the protocol that it chose.
fn check(
    reply: &Reply,
    accept: Option<&[u8]>,
    offered: Option<&HeaderValue>,
) -> Result<Option<Box<str>>, &'static str> {
    let headers = reply.headers();
    if reply.version() != Version::HTTP_11 {
        return Err("the server switched to WebSocket from another version than HTTP/1.1");
    }
    if !has_token(headers, &header::UPGRADE, "websocket") {
        return Err("the server switched to another protocol than WebSocket");
    }
    if !has_token(headers, &header::CONNECTION, "upgrade") {
        return Err("the server switched to WebSocket without `connection: upgrade`");
    }
    let mut accepted = headers.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
    let is_proof = accepted.next().map(HeaderValue::as_bytes) == accept && accept.is_some();
    if !is_proof || accepted.next().is_some() {
        return Err("the server's `sec-websocket-accept` is not the answer to the request's key");
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err("the server wants a WebSocket extension that was not offered");
    }
    let mut chosen = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let Some(first) = chosen.next() else { return Ok(None) };
    let first = first.to_str().unwrap_or_default();
    let was_offered = offered.is_some_and(|offered| tokens(offered).any(|token| token == first));
    if !was_offered || chosen.next().is_some() {
        return Err("the server chose a WebSocket protocol that was not offered");
    }
    Ok(Some(first.into()))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers.get_all(name).iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case(wanted))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim)
}

/// Sixteen random bytes. A cache, or a server that does not speak WebSocket, cannot know them (RFC 6455, section 4.1,
/// number 7).
fn key() -> Vec<u8> {
    base64::encode(&rand::rng().random::<[u8; 16]>(), base64::STANDARD)
}

/// The answer to a key (RFC 6455, section 4.2.2, number 5.4).
fn accept(key: &HeaderValue) -> Vec<u8> {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID].concat());
    base64::encode(digest.as_ref(), base64::STANDARD)
}

/// A `ws` or `wss` URL, as the `http` or `https` URL that its handshake is sent to (RFC 6455, section 3).
fn with_http_scheme(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme.eq_ignore_ascii_case("ws") {
        Some(format!("http://{rest}"))
    } else if scheme.eq_ignore_ascii_case("wss") {
        Some(format!("https://{rest}"))
    } else {
        None
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(Kind::Protocol, Phase::Head, Delivery::Replied).text(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455() {
        // Section 1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes_and_another_each_time() {
        assert_eq!(key().len(), 24);
        assert_ne!(key(), key());
    }

    #[test]
    fn websocket_schemes_are_those_of_http() {
        for (url, expected) in [
            ("ws://a.test/x", Some("http://a.test/x")),
            ("WSS://a.test:1", Some("https://a.test:1")),
            ("https://a.test", None),
            ("/path", None),
            ("wss:/a.test", None),
        ] {
            assert_eq!(with_http_scheme(url).as_deref(), expected, "{url}");
        }
    }
}
