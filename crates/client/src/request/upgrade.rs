//! Requests to switch to another protocol.

use http::{HeaderValue, Request, header};

use super::RequestBuilder;
use crate::{body::Body, redirect::Redirects};

impl<B> RequestBuilder<B> {
    /// Asks the server to speak another protocol on this connection, by its name in `upgrade` (RFC 9110, section 7.8).
    /// One that agrees replies 101, and [`Reply::upgrade`](crate::Reply::upgrade) has the connection. For WebSocket there
    /// is `Client::websocket`, with the feature `websocket`.
    ///
    /// It goes over HTTP/1.1 whatever else the server speaks, and in a tunnel where there is a proxy. A redirect is not
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

    /// The same request for another way to send it.
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
