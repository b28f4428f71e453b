//! The tower services of a client: the one that layers wrap, and the client itself.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use tower_service::Service;

use super::{BoxedResponse, Stack};
use crate::{
    body::Body,
    client::{Client, Core},
    error::Error,
    reply_body::ReplyBody,
    send::ReplyFuture,
    timings::{ConnectionInfo, Timings},
};

/// The service that a [layer](crate::ClientBuilder::layer) wraps: the client's connections, or the layers that were
/// added before it.
#[derive(Clone)]
pub struct ClientService(InnerService);

#[derive(Clone)]
enum InnerService {
    Connections(Arc<Core>),
    Layers(Arc<dyn Stack>),
}

/// What is known about the exchange that brought a reply. It leaves the layers as an extension of the reply.
#[derive(Clone, Copy)]
pub(crate) struct ExchangeInfo {
    pub(crate) connection: ConnectionInfo,
    pub(crate) timings: Option<Timings>,
}

/// The future of a request that is sent through the tower service. Dropping it cancels the request, as with
/// [`ReplyFuture`].
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(State);

enum State {
    Reply(ReplyFuture),
    // The exchange below the layers.
    Exchange(ReplyFuture),
    Layers(BoxedResponse),
}

impl ClientService {
    pub(crate) fn connections(core: Arc<Core>) -> Self {
        Self(InnerService::Connections(core))
    }

    pub(crate) fn layers(stack: Arc<dyn Stack>) -> Self {
        Self(InnerService::Layers(stack))
    }
}

impl Service<Request<Body>> for ClientService {
    type Response = Response<ReplyBody>;
    type Error = Error;
    type Future = ResponseFuture;

    /// Always ready: a request waits for its connection when it is sent.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        ResponseFuture(match &self.0 {
            InnerService::Connections(core) => State::Exchange(ReplyFuture::of_exchange(core, request)),
            InnerService::Layers(stack) => State::Layers(stack.call(request)),
        })
    }
}

impl Service<Request<Body>> for Client {
    type Response = Response<ReplyBody>;
    type Error = Error;
    type Future = ResponseFuture;

    /// Always ready: a request waits for its connection when it is sent.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        ResponseFuture(State::Reply(self.execute(request)))
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ReplyBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Reply(reply) => Poll::Ready(ready!(Pin::new(reply).poll(cx)).map(Response::from)),
            State::Exchange(reply) => {
                let reply = ready!(Pin::new(reply).poll(cx))?;
                let arrived = ExchangeInfo { connection: reply.connection(), timings: reply.timings() };
                let mut response = Response::from(reply);
                response.extensions_mut().insert(arrived);
                Poll::Ready(Ok(response))
            }
            State::Layers(answer) => answer.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for ClientService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            InnerService::Connections(_) => "ClientService(connections)",
            InnerService::Layers(_) => "ClientService(layers)",
        })
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
