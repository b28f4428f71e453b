//! The future of a request that is being sent.

mod call;
#[cfg(feature = "cookies")]
mod cookies;
#[cfg(feature = "digest")]
mod digest;
mod next_request;
mod tries;
mod waiting;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use hyper::body::Incoming;

pub(crate) use self::call::Call;
use self::call::State;
use crate::{
    body::Body,
    client::{Client, Core},
    error::Error,
    layers::Layered,
    origin::Origin,
    redirect::Redirects,
    reply::Reply,
};

/// The future of a request, from [`RequestBuilder::send`](crate::RequestBuilder::send). Ready with the reply's head.
///
/// Dropping it cancels the request. Before a connection is held, nothing was sent, and a dial that is under way
/// continues for later requests. After that, an HTTP/1.1 connection is closed; an HTTP/2 stream is reset and its
/// connection continues. The server may have seen the request.
#[must_use = "futures do nothing unless polled"]
pub struct ReplyFuture(Sending);

enum Sending {
    Call(Box<Call>),
    /// Through the client's layers.
    Layers(Box<Layered>),
    /// Nothing is sent because of this error. `None` once the error was returned.
    Invalid(Option<Error>),
}

impl ReplyFuture {
    pub(crate) fn new(call: Box<Call>) -> Self {
        Self(Sending::Call(call))
    }

    pub(crate) fn layered(layered: Box<Layered>) -> Self {
        Self(Sending::Layers(layered))
    }

    pub(crate) fn invalid(error: Error) -> Self {
        Self(Sending::Invalid(Some(error)))
    }

    /// A request with an absolute URI, through the client's layers if there are any.
    pub(crate) fn of_request(client: &Client, mut request: Request<Body>) -> Self {
        let Some(stack) = &client.stack else {
            return Call::of_request(&client.core, request).map_or_else(Self::invalid, Self::new);
        };
        let origin = match Origin::of(request.uri()) {
            Ok(origin) => origin,
            Err(error) => return Self::invalid(error),
        };
        let options = request.extensions_mut().remove().unwrap_or_else(|| client.core.options());
        client.core.secrets.mark(request.headers_mut());
        Self::layered(Layered::new(client.core.clone(), stack.clone(), request, options, origin))
    }

    /// The same, below the layers. They get the reply as it came.
    pub(crate) fn of_exchange(core: &Arc<Core>, request: Request<Body>) -> Self {
        match Call::of_request(core, request) {
            Ok(mut call) => {
                call.redirects = Redirects::none();
                call.is_exchange = true;
                Self::new(call)
            }
            Err(error) => Self::invalid(error),
        }
    }
}

/// What happens at its end.
impl ReplyFuture {
    #[cold]
    fn reply(&mut self, response: Response<Incoming>) -> Reply {
        Reply::new(response, self.take_call())
    }

    #[cold]
    fn error(&mut self, error: Error) -> Error {
        self.take_call().describe(error)
    }

    #[inline]
    fn take_call(&mut self) -> Box<Call> {
        let Sending::Call(mut call) = std::mem::replace(&mut self.0, Sending::Invalid(None)) else {
            unreachable!("only a call has an answer");
        };
        if let Call { timings: Some(timings), upload, .. } = &mut *call {
            timings.finish(upload.as_deref());
        }
        call
    }
}

impl Future for ReplyFuture {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = match &mut self.0 {
            Sending::Call(call) => call,
            Sending::Layers(layered) => {
                let answer = ready!(layered.poll(cx));
                self.0 = Sending::Invalid(None);
                return Poll::Ready(answer);
            }
            Sending::Invalid(error) => {
                return Poll::Ready(Err(error.take().expect("polled after it was ready")));
            }
        };
        loop {
            match ready!(call.poll(cx)) {
                Ok(response) if call.may_be_followed(&response) => match call.follow(response) {
                    Ok(None) => {}
                    Ok(Some(response)) => return Poll::Ready(Ok(self.reply(response))),
                    Err(error) => return Poll::Ready(Err(self.error(error))),
                },
                Ok(response) => return Poll::Ready(Ok(Reply::new(response, self.take_call()))),
                Err(error) => return Poll::Ready(Err(self.error(error))),
            }
        }
    }
}

impl fmt::Debug for ReplyFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match &self.0 {
            Sending::Call(call) => call,
            Sending::Layers(layered) => {
                return f
                    .debug_struct("ReplyFuture")
                    .field("origin", &layered.origin)
                    .finish_non_exhaustive();
            }
            Sending::Invalid(_) => return f.write_str("ReplyFuture(Invalid)"),
        };
        let state = match &call.state {
            State::Start => "new",
            State::Pausing(_) => "pausing",
            State::Waiting(_) => "waiting for a connection",
            State::Held => "connected",
            State::Sent => "sent",
            State::Done => "done",
        };
        f.debug_struct("ReplyFuture")
            .field("origin", &call.pool.origin)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
