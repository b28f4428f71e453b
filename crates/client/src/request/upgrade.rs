//! Requests that switch the connection to another protocol.

use http::{HeaderValue, Request, header};

use super::RequestBuilder;
use crate::{body::Body, redirect::Redirects};

impl<B> RequestBuilder<B> {
    /// Asks the server to switch this connection to another protocol, by its name in `upgrade` (RFC 9110, section
    /// 7.8). A server that agrees replies with 101, and [`Reply::upgrade`](crate::Reply::upgrade) returns the
    /// connection. For WebSocket use `Client::websocket`, with the feature `websocket`.
    ///
    /// The request is always sent over HTTP/1.1, and through a tunnel if there is a proxy. A redirect is not
    /// followed.
    pub fn upgrade(mut self, protocol: &str) -> Self {
        let Ok(protocol) = HeaderValue::try_from(protocol) else {
            self.reject("the name of a protocol has characters that it cannot have");
            return self;
        };
        ask(self.request_mut(), protocol);
        if let Ok(call) = &mut self.call
            && let Err(error) = call.go_for_upgrade()
        {
            self.error.get_or_insert(error);
        }
        self.redirects(Redirects::none())
    }

    /// The same request, as another kind of builder.
    #[cfg(feature = "websocket")]
    pub(crate) fn of_kind<K>(self) -> RequestBuilder<K> {
        let Self { call, stack, replayable, timings, error, .. } = self;
        RequestBuilder { call, stack, replayable, timings, error, body: std::marker::PhantomData }
    }
}

pub(crate) fn ask(request: &mut Request<Body>, protocol: HeaderValue) {
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}
