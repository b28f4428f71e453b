//! Tower layers around a client's requests.

mod call;
mod service;

use std::{future::poll_fn, marker::PhantomData, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::Instant;
use tower_service::Service;

pub use self::service::{ClientService, ResponseFuture};
pub(crate) use self::{call::Layered, service::ExchangeInfo};
#[cfg(feature = "digest")]
use crate::digest::Credentials;
use crate::{
    body::Body,
    connect::Proxies,
    error::{BoxError, Error, Phase},
    limits::Limits,
    redirect::Redirects,
    reply_body::ReplyBody,
};

/// The layers of a client, around its connections.
pub(crate) trait Stack: Send + Sync {
    fn call(&self, request: Request<Body>) -> BoxedResponse;
}

pub(crate) type BoxedResponse = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, Error>> + Send>>;

/// The settings that a request is sent with. They pass the layers as an extension. If a layer drops the extension,
/// the client's own settings are used.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) limits: Arc<Limits>,
    pub(crate) timings: bool,
    pub(crate) replayable: bool,
    pub(crate) redirects: Redirects,
    /// The request's own proxies, in place of the client's.
    pub(crate) proxies: Option<Arc<Proxies>>,
    /// Whether the request asks to switch to another protocol.
    pub(crate) upgrade: bool,
    /// Whether a redirect has led the request to another origin.
    pub(crate) left_origin: bool,
    /// Whether a redirect has led it to another site.
    #[cfg(feature = "cookies")]
    pub(crate) left_site: bool,
    #[cfg(feature = "digest")]
    pub(crate) credentials: Option<Arc<Credentials>>,
    /// The deadline of the whole request, including all that layers do.
    pub(crate) deadline: Option<Instant>,
}

/// Makes a stack from any suitable service.
pub(crate) fn stack<S, B>(service: S) -> Arc<dyn Stack>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Arc::new(Boxed { service, body: PhantomData })
}

struct Boxed<S, B> {
    service: S,
    body: PhantomData<fn() -> B>,
}

impl<S, B> Stack for Boxed<S, B>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<Body>) -> BoxedResponse {
        let mut service = self.service.clone();
        Box::pin(async move {
            let failed = |error: S::Error| Error::of_layer(error.into(), Phase::Head);
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
            let response = service.call(request).await.map_err(failed)?;
            Ok(response.map(ReplyBody::of))
        })
    }
}
