//! Settings of the builder: layers around requests.

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

/// Makes the stack: it puts one more layer around those that exist when the client is built.
pub(super) type MakeStack = Box<dyn FnOnce(ClientService) -> Arc<dyn Stack> + Send + Sync>;

/// Layers around requests.
impl ClientBuilder {
    /// Puts a tower layer around every request. A second layer goes around the first.
    ///
    /// The layer sees a request with an absolute URI and with the request's own headers. The client chooses
    /// connection, key and default headers below the layer, by the URI's origin.
    /// [`Limits::total`](crate::Limits::total) includes all that layers do. The other limits,
    /// [`Timings`](crate::Timings) and [`ConnectionInfo`](crate::ConnectionInfo) are those of the exchange below the
    /// layer; if there are several exchanges, those of the last one. Each layer boxes the future of a request. To box
    /// it only once, combine several layers into one (`tower::ServiceBuilder`, or a tuple). Without a layer nothing
    /// is boxed.
    ///
    /// An error of the layer becomes an [`Error`](crate::Error). If the client's own error is its cause, kind and
    /// delivery are kept; if not, it is of [`Kind::Layer`](crate::Kind::Layer).
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
