//! The body of a reply, from a connection or from a layer.

mod other;
mod wire;

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

pub(crate) use self::{other::RequestInfo, wire::IncomingBody};
use self::{
    other::{Other, Refused},
    wire::Wire,
};
use crate::{
    error::{BoxError, Error},
    limit_timer::LimitTimer,
    limits::Limits,
    origin::Origin,
    redirect::Redirect,
    send::Call,
    timings::{ConnectionInfo, Timings},
};

/// The body of a reply, with the connection that it comes over: an [`http_body::Body`] of [`Bytes`].
///
/// [`Reply`](crate::Reply) has more convenient ways to read it. Layers see this type in an `http::Response`. Its time
/// limits hold wherever it is read. Dropping it before its end closes an HTTP/1.1 connection and resets an HTTP/2
/// stream, unless the end has already arrived.
pub struct ReplyBody(Source);

enum Source {
    /// The body comes over a connection.
    Wire(Wire),
    /// Another body, which a layer put in place of the connection's.
    Other(Box<Other>),
}

impl ReplyBody {
    /// The call must have [received](Call::receive) the reply.
    #[inline]
    pub(crate) fn new(incoming: Incoming, call: Box<Call>) -> Self {
        Self(Source::Wire(Wire::new(incoming, call)))
    }

    /// Any body. A body of this type is returned unchanged.
    pub(crate) fn of<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>().and_then(Option::take) {
            return own;
        }
        Self(Source::Other(Box::new(Other::new(body))))
    }

    /// Applies the limits and the data of the request that this body answers, whatever layers did in between.
    pub(crate) fn belong_to(&mut self, request_info: RequestInfo) {
        match &mut self.0 {
            Source::Wire(wire) => wire.belong_to(request_info),
            Source::Other(other) => other.request_info = Some(request_info),
        }
    }

    /// Replaces the body by an error, which is given when the body is first read.
    pub(crate) fn refuse(self, version: Version, error: Error) -> Self {
        self.wrap(version, |body| Refused { error: Some(error), body })
    }

    /// Replaces the body by one that is made from it.
    pub(crate) fn wrap<B>(mut self, version: Version, wrap: impl FnOnce(Self) -> B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        let request_info = match &mut self.0 {
            Source::Wire(wire) => Some(wire.request_info(version)),
            Source::Other(other) => other.request_info.take(),
        };
        let mut other = Other::new(Some(wrap(self)));
        other.request_info = request_info;
        Self(Source::Other(Box::new(other)))
    }

    pub(crate) fn limits(&self) -> &Limits {
        match &self.0 {
            Source::Wire(wire) => &wire.limit_timer().limits,
            Source::Other(other) => other.limits(),
        }
    }

    /// Limits the rest of the body to this time from now on.
    pub(crate) fn shorten(&mut self, within: Duration) {
        let limit_timer: &mut LimitTimer = match &mut self.0 {
            Source::Wire(wire) => wire.limit_timer_mut(),
            Source::Other(other) => match &mut other.request_info {
                Some(request_info) => &mut request_info.limit_timer,
                None => return,
            },
        };
        limit_timer.shorten(Instant::now(), within);
    }

    /// The request's origin. `None` if a layer made the reply up without a request of this client.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        match &self.0 {
            Source::Wire(wire) => Some(wire.origin()),
            Source::Other(other) => other.request_info.as_ref().map(|request_info| &request_info.origin),
        }
    }

    /// The URL that the request was last sent to. Empty if a layer made the reply up.
    pub(crate) fn url(&self) -> String {
        match &self.0 {
            Source::Wire(wire) => wire.url(),
            Source::Other(other) => other
                .request_info
                .as_ref()
                .map(|request_info| format!("{}{}", request_info.origin, request_info.target))
                .unwrap_or_default(),
        }
    }

    pub(crate) fn redirects(&self) -> &[Redirect] {
        match &self.0 {
            Source::Wire(wire) => wire.redirects(),
            Source::Other(other) => {
                other.request_info.as_ref().map_or(&[], |request_info| &request_info.chain.followed)
            }
        }
    }

    pub(crate) fn connection_info(&self, version: Version) -> ConnectionInfo {
        match &self.0 {
            Source::Wire(wire) => wire.connection_info(version),
            Source::Other(other) => other.connection_info(version),
        }
    }

    pub(crate) fn timings(&self) -> Option<Timings> {
        match &self.0 {
            Source::Wire(wire) => wire.timings(),
            Source::Other(other) => other.timings(),
        }
    }

    /// The length of the rest, if the head announced it or all of it has come.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.0 {
            Source::Wire(wire) => wire.length(),
            Source::Other(other) => other.size_hint().exact(),
        }
    }

    /// The trailers, once the body was read to its end.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        match &self.0 {
            Source::Wire(wire) => wire.trailers(),
            Source::Other(other) => other.trailers(),
        }
    }

    /// The next piece. Trailers are stored.
    #[inline]
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match &mut self.0 {
            Source::Wire(wire) => wire.poll(cx, |frame| frame.into_data().ok()),
            Source::Other(other) => other.poll_chunk(cx),
        }
    }

    /// Ends the body with an error.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        match &mut self.0 {
            Source::Wire(wire) => wire.fail(error),
            Source::Other(other) => other.fail(error),
        }
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.0 {
            Source::Wire(wire) => wire.poll(cx, Some),
            Source::Other(other) => other.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Wire(wire) => wire.is_end(),
            Source::Other(other) => other.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Wire(wire) => wire.size_hint(),
            Source::Other(other) => other.size_hint(),
        }
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, ended) = (self.origin(), http_body::Body::is_end_stream(self));
        f.debug_struct("ReplyBody").field("origin", &origin).field("ended", &ended).finish_non_exhaustive()
    }
}
