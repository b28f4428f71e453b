//! A reply's body that does not come directly from a connection, and what is known about its request.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::{
    error::{BoxError, Error, Phase},
    limit_timer::LimitTimer,
    limits::Limits,
    origin::Origin,
    redirect::Chain,
    reply_body::ReplyBody,
    timings::{ConnectionInfo, Timings},
};

/// A body that a layer put in place of the connection's.
pub(super) struct Other {
    // Dropped at its end.
    body: Option<Pin<Box<dyn Body<Data = Bytes, Error = Error> + Send>>>,
    // Set when the reply leaves the outermost layer.
    pub(super) request_info: Option<RequestInfo>,
    trailers: Option<Box<HeaderMap>>,
}

/// What a reply knows about its request and its connection.
pub(crate) struct RequestInfo {
    pub(crate) origin: Origin,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) chain: Box<Chain>,
    /// Only for limits that span phases: a connection's body checks the other limits itself.
    pub(crate) limit_timer: LimitTimer,
    pub(crate) connection: Option<ConnectionInfo>,
    pub(crate) timings: Option<Timings>,
}

impl Other {
    pub(super) fn new<B>(body: Option<B>) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { body: body.map(|body| Box::pin(OwnError { body }) as _), request_info: None, trailers: None }
    }

    pub(super) fn limits(&self) -> &Limits {
        const DEFAULT: &Limits = &Limits::new();
        self.request_info.as_ref().map_or(DEFAULT, |request_info| &request_info.limit_timer.limits)
    }

    pub(super) fn connection_info(&self, version: Version) -> ConnectionInfo {
        let unknown = ConnectionInfo {
            reused: false,
            requests: 0,
            age: Duration::ZERO,
            version,
            remote_addr: None,
            proxied: false,
        };
        self.request_info.as_ref().and_then(|request_info| request_info.connection).unwrap_or(unknown)
    }

    pub(super) fn timings(&self) -> Option<Timings> {
        self.request_info.as_ref()?.timings
    }

    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match ready!(self.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.trailers = Some(Box::new(trailers.clone()));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.fail(error)))),
            Poll::Ready(None) => {
                self.body = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(request_info) = &mut self.request_info else { return Poll::Pending };
                let Poll::Ready((limit, duration)) = request_info.limit_timer.poll(cx, Instant::now(), None)
                else {
                    return Poll::Pending;
                };
                Poll::Ready(Some(Err(self.fail(Error::timeout(limit, duration, Phase::Body)))))
            }
        }
    }

    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    pub(super) fn is_end(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }

    pub(super) fn fail(&mut self, error: Error) -> Error {
        self.body = None;
        let Some(request_info) = &self.request_info else { return error };
        let mut error = if error.origin().is_none() { error.at(&request_info.origin) } else { error };
        error.set_url(&request_info.origin, &request_info.target);
        error
    }
}

/// A body that must not be read, and the reason.
pub(super) struct Refused {
    pub(super) error: Option<Error>,
    pub(super) body: ReplyBody,
}

impl Body for Refused {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(self.error.take().map(Err))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project_lite::pin_project! {
    /// A body whose errors are converted to this crate's error.
    struct OwnError<B> {
        #[pin]
        body: B,
    }
}

impl<B> Body for OwnError<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = self.project().body.poll_frame(cx);
        frame.map_err(|error| Error::of_layer(error.into(), Phase::Body))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
