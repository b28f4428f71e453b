//! A reply's body that comes over a connection.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{task::coop, time::Instant};

use super::RequestInfo;
use crate::{
    body::Stage,
    connection::Connection,
    error::{Delivery, Error, Kind, Phase},
    failure::failure,
    limit_timer::LimitTimer,
    limits::Limit,
    origin::Origin,
    redirect::Redirect,
    send::Call,
    timings::{ConnectionInfo, Timings},
};

/// The body as it comes over a connection, which it holds.
///
/// Replies are moved often, so all of its state is in the call's box. The connection is taken out of it when it goes
/// back to the pool or is closed.
pub(crate) struct Wire(Box<Call>);

/// What is known about a body that comes over a connection.
pub(crate) struct IncomingBody {
    incoming: Incoming,
    ended: bool,
    // How many bytes have come since a limit that spans phases has passed.
    late: usize,
    trailers: Option<Box<HeaderMap>>,
}

impl Wire {
    /// The call must have [received](Call::receive) the reply.
    #[inline]
    pub(crate) fn new(incoming: Incoming, mut call: Box<Call>) -> Self {
        let ended = incoming.is_end_stream();
        call.incoming_body = Some(IncomingBody { incoming, ended, late: 0, trailers: None });
        let mut body = Self(call);
        if ended {
            body.finish(None);
        }
        body
    }

    #[inline]
    fn incoming_body(&self) -> &IncomingBody {
        self.0.incoming_body.as_ref().expect(BEGUN)
    }

    #[inline]
    fn incoming_body_mut(&mut self) -> &mut IncomingBody {
        self.0.incoming_body.as_mut().expect(BEGUN)
    }

    pub(crate) fn limit_timer(&self) -> &LimitTimer {
        &self.0.limit_timer
    }

    pub(crate) fn limit_timer_mut(&mut self) -> &mut LimitTimer {
        &mut self.0.limit_timer
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.0.pool.origin
    }

    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.origin(), self.0.target())
    }

    pub(crate) fn redirects(&self) -> &[Redirect] {
        self.0.followed()
    }

    /// Takes over what was set for the request above the layers.
    pub(super) fn belong_to(&mut self, request_info: RequestInfo) {
        self.0.limit_timer.share(&request_info.limit_timer);
        self.0.chain = Some(request_info.chain);
    }

    /// What another body in place of this one has to know.
    pub(super) fn request_info(&mut self, version: Version) -> RequestInfo {
        let mut limit_timer = LimitTimer::new(self.0.limit_timer.limits.clone());
        limit_timer.share(&self.0.limit_timer);
        RequestInfo {
            origin: self.origin().clone(),
            target: self.0.target().to_owned(),
            chain: self.0.chain.take().unwrap_or_default(),
            limit_timer,
            connection: Some(self.connection_info(version)),
            timings: self.timings(),
        }
    }

    pub(crate) fn connection_info(&self, version: Version) -> ConnectionInfo {
        let Call { history, requests, .. } = &*self.0;
        ConnectionInfo {
            reused: *requests > 1,
            requests: *requests,
            age: history.as_ref().map_or(Duration::ZERO, |history| history.opened.elapsed()),
            version,
            remote_addr: history.as_ref().and_then(|history| history.remote_addr),
            proxied: history.as_ref().is_some_and(|history| history.proxied),
        }
    }

    pub(crate) fn timings(&self) -> Option<Timings> {
        self.0.timings.as_ref().map(|recorder| recorder.timings())
    }

    /// The length, if the head announced it or all of it has come.
    pub(crate) fn length(&self) -> Option<u64> {
        self.incoming_body().incoming.size_hint().exact()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming_body().incoming.size_hint()
    }

    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.incoming_body().trailers.as_deref()
    }

    pub(crate) fn is_end(&self) -> bool {
        self.incoming_body().ended || self.incoming_body().incoming.is_end_stream()
    }

    /// The next frame that `take` accepts: data and trailers. No data is empty, except at the end.
    ///
    /// A frame is large, and most readers only need its bytes. So `take` extracts them before the frame is moved.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl Fn(Frame<Bytes>) -> Option<T>,
    ) -> Poll<Option<Result<T, Error>>> {
        if self.incoming_body().ended {
            return Poll::Ready(None);
        }
        if !coop::has_budget_remaining() {
            // This returns Pending and wakes the task at once.
            let _ = ready!(coop::poll_proceed(cx));
        }
        loop {
            match Pin::new(&mut self.incoming_body_mut().incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Poll::Ready(coop) = coop::poll_proceed(cx) {
                        coop.made_progress();
                    }
                    self.0.limit_timer.stop_step();
                    let mut now = None;
                    if let Some((limit, duration)) = self.0.limit_timer.passed(&mut now)
                        && self.is_too_late(&frame)
                    {
                        return Poll::Ready(Some(Err(self.fail(Error::timeout(
                            limit,
                            duration,
                            Phase::Body,
                        )))));
                    }
                    if self.incoming_body().incoming.is_end_stream() {
                        self.finish(now);
                    }
                    if !self.incoming_body().ended && frame.data_ref().is_some_and(Bytes::is_empty) {
                        continue;
                    }
                    if let Some(trailers) = frame.trailers_ref() {
                        self.incoming_body_mut().trailers = Some(Box::new(trailers.clone()));
                    }
                    let Some(taken) = take(frame) else { continue };
                    return Poll::Ready(Some(Ok(taken)));
                }
                Poll::Ready(Some(Err(error))) => {
                    let upload = self.0.upload.as_ref().and_then(|upload| upload.take_error());
                    let error = match upload {
                        Some(source) => Error::body(Kind::RequestBody).source_from(source),
                        None => failure(error, Phase::Body, Delivery::Replied),
                    };
                    return Poll::Ready(Some(Err(self.fail(error))));
                }
                Poll::Ready(None) => return Poll::Ready(self.end().map(Err)),
                Poll::Pending => return self.wait(cx).map(|error| Some(Err(error))),
            }
        }
    }

    /// Pending, unless a limit has passed.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let now = Instant::now();
        if !self.0.limit_timer.has_step() {
            self.0.limit_timer.start_step(Limit::Idle, now);
        }
        let (limit, duration) = ready!(self.0.poll_passed(cx, now, None));
        if let Some(connection) = &self.0.connection {
            connection.suspect();
        }
        Poll::Ready(self.fail(Error::timeout(limit, duration, Phase::Body)))
    }

    /// Data that has arrived counts more than a limit that has passed. This is the bound on how much can have arrived
    /// before.
    #[cold]
    fn is_too_late(&mut self, frame: &Frame<Bytes>) -> bool {
        // As much as sockets and windows hold. So a body that never ends has a limit too.
        const MOST: usize = 8 << 20;
        const EACH: usize = 64;
        self.incoming_body_mut().late += frame.data_ref().map_or(0, Bytes::len) + EACH;
        self.0.last_look = None;
        self.incoming_body().late > MOST
    }

    /// Nothing more comes.
    fn end(&mut self) -> Option<Error> {
        if self.is_cut() {
            let kind = if self.is_http2() { Kind::Reset } else { Kind::Closed };
            return Some(self.fail(Error::new(kind, Phase::Body, Delivery::Replied)));
        }
        self.finish(None);
        None
    }

    /// Whether the body is incomplete although hyper reports its end. Fewer bytes have come than the head announced;
    /// or an HTTP/2 server has reset the stream with `NO_ERROR`, which is allowed only if the reply is complete and
    /// the request is not (RFC 9113, section 8.1).
    fn is_cut(&self) -> bool {
        let misses = self.length().is_some_and(|missing| missing > 0);
        if !self.is_http2() {
            return misses;
        }
        let is_sent = self.0.upload.as_ref().is_none_or(|upload| matches!(upload.stage(), Stage::Done(_)));
        !self.incoming_body().incoming.is_end_stream() && (misses || is_sent)
    }

    fn is_http2(&self) -> bool {
        self.0.connection.as_ref().is_some_and(Connection::is_http2)
    }

    /// Ends the reply with an error.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        self.incoming_body_mut().ended = true;
        self.0.connection = None;
        let mut error = error.at(self.origin());
        if let Some(proxy) = &self.0.pool.proxy {
            error.set_proxy(proxy);
        }
        error.set_url(self.origin(), self.0.target());
        error
    }

    /// The whole reply has come, so the connection may serve another request. `now`, if the clock was read.
    fn finish(&mut self, now: Option<Instant>) {
        self.incoming_body_mut().ended = true;
        let Some(mut connection) = self.0.connection.take() else { return };
        // The reply came before the request was sent completely. The rest of it would be sent before the next
        // request.
        if let Some(upload) = &self.0.upload
            && !matches!(upload.stage(), Stage::Done(_))
        {
            if !connection.is_http2() {
                upload.stop();
            }
            return;
        }
        connection.keep_timer(self.0.limit_timer.take_timer());
        self.0.pool.check_in(connection, now.unwrap_or_else(Instant::now));
    }
}

const BEGUN: &str = "a body over a connection has begun to come";

impl Drop for Wire {
    fn drop(&mut self) {
        // To read what has already arrived costs nothing, and it may be the end: of a short body that nobody needed,
        // or of a stream whose reader stopped at its last event.
        const FRAMES: usize = 4;
        for _ in 0..FRAMES {
            if self.0.connection.is_none() {
                return;
            }
            match Pin::new(&mut self.incoming_body_mut().incoming)
                .poll_frame(&mut Context::from_waker(Waker::noop()))
            {
                Poll::Ready(Some(Ok(_))) if self.incoming_body().incoming.is_end_stream() => {
                    self.finish(None);
                }
                Poll::Ready(None) => self.finish(None),
                Poll::Ready(Some(Ok(_))) => {}
                _ => return,
            }
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("origin", self.origin())
            .field("ended", &self.incoming_body().ended)
            .finish_non_exhaustive()
    }
}
