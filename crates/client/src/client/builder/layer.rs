//! What goes around a client's requests.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::ClientBuilder;
use crate::{
    body::Body,
    error::BoxError,
    layers::{self, ClientService, Stack},
};

/// A layer to be put around what is there when the client is built.
pub(super) type MakeStack = Box<dyn FnOnce(ClientService) -> Arc<dyn Stack> + Send + Sync>;

/// Layers.
impl ClientBuilder {
    /// Puts a layer, of tower's kind, around every request. A second one goes around the first.
    ///
    /// The layer sees a request with an absolute URI, and the headers that the request itself has: the client chooses
    /// connection, key and default headers underneath, by the URI's origin. [`Limits::total`](crate::Limits::total) spans all that layers do;
    /// the other limits, [`Timings`](crate::Timings) and [`ConnectionInfo`](crate::ConnectionInfo) are those of the
    /// exchange underneath, the last one where there are several. Each layer boxes the future of a request; to box it
    /// once for several, give them as one (`tower::ServiceBuilder`, or a tuple). Without a layer nothing is boxed.
    ///
    /// An error of the layer becomes an [`Error`](crate::Error), with kind and delivery of the client's own error where that is its
    /// cause, else of [`Kind::Layer`](crate::Kind::Layer).
    ///
    /// ```
    /// use http::Request;
    /// use outbound_client::{Body, Client, ClientService};
    /// use tower_layer::layer_fn;
    /// # use std::task::{Context, Poll};
    ///
    /// #[derive(Clone)]
    /// struct Numbered<S>(S);
    ///
    /// impl<S: tower_service::Service<Request<Body>>> tower_service::Service<Request<Body>> for Numbered<S> {
    ///     type Response = S::Response;
    ///     type Error = S::Error;
    ///     type Future = S::Future;
    /// #   fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> { self.0.poll_ready(cx) }
    ///
    ///     fn call(&mut self, mut request: Request<Body>) -> S::Future {
    ///         request.headers_mut().insert("x-request-id", 17.into());
    ///         self.0.call(request)
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), outbound_client::Error> {
    /// let client = Client::builder().layer(layer_fn(|service: ClientService| Numbered(service))).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer<L, S, B>(mut self, layer: L) -> Self
    where
        L: Layer<ClientService, Service = S> + Send + Sync + 'static,
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.layers.push(Box::new(move |service| layers::stack(layer.layer(service))));
        self
    }
}
