//! One request and its reply: the state that moves from the builder to the end of the body.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use super::tries::Tries;
#[cfg(feature = "digest")]
use crate::digest::Credentials;
use crate::{
    body::{Body, Upload},
    client::Core,
    connect::Proxies,
    connection::{Connection, History, origin_form},
    error::{Error, Kind, Phase},
    layers::Options,
    limit_timer::LimitTimer,
    limits::Limit,
    look::LastLook,
    origin::Origin,
    pool::{Checkout, PendingCheckout, Pool},
    redirect::{Chain, Redirects},
    reply_body::IncomingBody,
    request::{FRAMING, NO_TUNNEL, NOT_REPLAYABLE, announce_nothing, ask},
    request_copy::RequestCopy,
    target::Target,
    timings::Recorder,
};

/// One request and its reply, from the builder to the last byte of the body.
///
/// It has about half a kilobyte. So it is in a box, and is not moved at every step and in every future that contains
/// it.
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) limit_timer: LimitTimer,
    // The request's target while the request is built.
    pub(crate) target: Target,
    // `None` while a connection has it.
    pub(crate) request: Option<Request<Body>>,
    pub(crate) connection: Option<Connection>,
    pub(crate) upload: Option<Arc<Upload>>,
    // The history of the connection that the reply came over.
    pub(crate) history: Option<Arc<History>>,
    pub(crate) requests: u64,
    // Set once there is a reply.
    pub(crate) incoming_body: Option<IncomingBody>,
    pub(crate) timings: Option<Box<Recorder>>,
    // The last look, before a limit that has passed ends the request.
    pub(crate) last_look: Option<LastLook>,
    pub(super) state: State,
    // Made when a connection takes the request. It is a whole copy if the request may be sent again although the
    // server may have seen it, or to another URL; and over HTTP/2, because hyper does not return a request that was
    // proved unseen.
    pub(super) request_copy: Option<RequestCopy>,
    pub(super) replayable: bool,
    pub(crate) redirects: Redirects,
    // The request's own proxies, in place of the client's.
    pub(crate) proxies: Option<Arc<Proxies>>,
    pub(crate) chain: Option<Box<Chain>>,
    // Whether the layers above have followed a redirect to another origin before this exchange.
    pub(super) left_origin: bool,
    // Whether they have followed one to another site.
    #[cfg(feature = "cookies")]
    pub(super) left_site: bool,
    #[cfg(feature = "digest")]
    pub(crate) credentials: Option<Arc<Credentials>>,
    // Whether this request is the answer to a challenge.
    #[cfg(feature = "digest")]
    pub(super) is_answer: bool,
    pub(super) is_exchange: bool,
    pub(super) tries: Tries,
}

pub(super) enum State {
    /// Needs a connection.
    Start,
    /// Needs a connection, but not before this time: the last new connection ended at once.
    Pausing(Instant),
    /// In the pool's queue.
    Waiting(PendingCheckout),
    /// A connection is held. It may still have to finish its last reply.
    Held,
    /// The connection has the request.
    Sent,
    /// Nothing more comes.
    Done,
}

impl Call {
    #[inline]
    pub(crate) fn new(
        core: &Arc<Core>,
        pool: Arc<Pool>,
        target: Target,
        request: Request<Body>,
    ) -> Box<Self> {
        // It is written directly into its box. To make it elsewhere and to move it would cost twice as much.
        let place = Box::new_uninit();
        Box::write(
            place,
            Self {
                core: core.clone(),
                pool,
                limit_timer: LimitTimer::new(core.limits.clone()),
                target,
                request: Some(request),
                connection: None,
                upload: None,
                history: None,
                requests: 0,
                incoming_body: None,
                timings: None,
                last_look: None,
                state: State::Start,
                request_copy: None,
                replayable: false,
                redirects: core.redirects,
                proxies: None,
                chain: None,
                left_origin: false,
                #[cfg(feature = "cookies")]
                left_site: false,
                #[cfg(feature = "digest")]
                credentials: core.credentials.clone(),
                #[cfg(feature = "digest")]
                is_answer: false,
                is_exchange: false,
                tries: Tries::default(),
            },
        )
    }

    /// A request with an absolute URI.
    pub(super) fn of_request(core: &Arc<Core>, mut request: Request<Body>) -> Result<Box<Self>, Error> {
        let options: Options = request.extensions_mut().remove().unwrap_or_else(|| core.options());
        let origin = Origin::of(request.uri())?;
        if *request.method() == Method::CONNECT {
            return Err(Error::invalid(Kind::Request, NO_TUNNEL).at(&origin));
        }
        if options.replayable && request.body().as_bytes().is_none() {
            return Err(Error::invalid(Kind::Request, NOT_REPLAYABLE).at(&origin));
        }
        let upgrade = request.headers_mut().remove(header::UPGRADE).filter(|_| options.upgrade);
        FRAMING.iter().for_each(|name| drop(request.headers_mut().remove(*name)));
        let proxies = options.proxies.as_deref();
        let pool = match upgrade {
            Some(protocol) => {
                ask(&mut request, protocol);
                core.pool_for_upgrade(origin, proxies)?
            }
            None => core.pool(origin, proxies)?,
        };
        origin_form(&mut request);
        let mut call = Self::new(core, pool, Target::default(), request);
        call.limit_timer.limits = options.limits;
        call.limit_timer.end_by(options.deadline);
        call.redirects = options.redirects;
        call.proxies = options.proxies;
        call.left_origin = options.left_origin;
        #[cfg(feature = "cookies")]
        {
            call.left_site = options.left_site;
        }
        #[cfg(feature = "digest")]
        {
            call.credentials = options.credentials;
        }
        call.start(options.replayable, options.timings);
        Ok(call)
    }

    /// Uses these proxies, in place of the client's.
    pub(crate) fn go_through(&mut self, proxies: Proxies) -> Result<(), Error> {
        let origin = self.pool.origin.clone();
        self.pool = if self.pool.for_upgrade {
            self.core.pool_for_upgrade(origin, Some(&proxies))?
        } else {
            self.core.pool(origin, Some(&proxies))?
        };
        self.proxies = Some(Arc::new(proxies));
        Ok(())
    }

    /// Uses a connection that can be switched to another protocol.
    pub(crate) fn go_for_upgrade(&mut self) -> Result<(), Error> {
        let origin = self.pool.origin.clone();
        self.pool = self.core.pool_for_upgrade(origin, self.proxies.as_deref())?;
        Ok(())
    }

    /// Must be called once the request is complete.
    pub(crate) fn start(&mut self, replayable: bool, timings: bool) {
        self.timings = timings.then(Recorder::new);
        let Some(request) = &mut self.request else { return };
        announce_nothing(request);
        self.upload = request.body().upload();
        self.replayable = replayable;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Incoming>, Error>> {
        // The clock is read at most once in a poll.
        let mut read = None;
        let mut now = || *read.get_or_insert_with(Instant::now);
        loop {
            match &mut self.state {
                State::Start => {
                    self.limit_timer.start_total(now());
                    if let Some(timings) = &mut self.timings {
                        timings.start(now());
                    }
                    let fresh = self.tries.want_new();
                    match self.pool.checkout(now(), fresh, &self.limit_timer.limits) {
                        Checkout::Ready(connection) => self.hold(connection, now()),
                        Checkout::Wait(pending) => {
                            self.limit_timer.start_step(Limit::PoolWait, now());
                            self.state = State::Waiting(pending);
                        }
                    }
                }
                State::Pausing(until) => {
                    let until = *until;
                    if now() < until {
                        return self.wait(cx, now(), Phase::Connect, Some(until));
                    }
                    self.state = State::Start;
                }
                State::Waiting(pending) => {
                    let Poll::Ready(served) = pending.poll(cx) else {
                        let (phase, look) = self.await_connection(now());
                        return self.wait(cx, now(), phase, look);
                    };
                    self.record_wait(now());
                    let connection = served.map_err(|error| error.into_error(&self.pool.origin))?;
                    self.hold(connection, now());
                }
                State::Held => match held(&mut self.connection).poll_ready(cx) {
                    Poll::Ready(true) => {
                        match &self.upload {
                            Some(upload) => upload.start(now()),
                            None => self.limit_timer.start_step(Limit::FirstByte, now()),
                        }
                        self.complete();
                        held(&mut self.connection).send(&mut self.request, &self.pool.address);
                        if self.request.is_none() {
                            self.state = State::Sent;
                        } else {
                            self.again(None)?;
                        }
                    }
                    Poll::Ready(false) => self.again(None)?,
                    Poll::Pending => return self.wait(cx, now(), Phase::Connect, None),
                },
                State::Sent => match held(&mut self.connection).poll_sent(cx) {
                    Poll::Ready(Ok(response)) => {
                        self.state = State::Done;
                        held(&mut self.connection).replied();
                        #[cfg(feature = "cookies")]
                        self.keep_cookies(&response);
                        if let Some(upload) = &self.upload {
                            upload.replied();
                        }
                        return Poll::Ready(Ok(response));
                    }
                    Poll::Ready(Err(error)) => self.failed(error)?,
                    Poll::Pending => {
                        let (phase, look) = self.await_answer(now());
                        return self.wait(cx, now(), phase, look);
                    }
                },
                State::Done => panic!("polled after it was ready"),
            }
        }
    }

    /// Records what a reply says about the connection, before its body is read.
    pub(crate) fn receive(&mut self, response: &Response<Incoming>) {
        self.limit_timer.stop_step();
        self.last_look = None;
        let Some(connection) = &mut self.connection else { return };
        self.requests = connection.requests;
        self.history = Some(connection.history.clone());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // From now on the connection speaks another protocol.
            self.connection = None;
            return;
        }
        connection.keep_alive.update(response.version(), response.headers());
        // `content-length` does not count if there is a transfer coding. A proxy on the way may disagree about where
        // this reply ends (RFC 9112, section 6.3), so the connection is not used again.
        if response.body().size_hint().exact().is_none()
            && response.headers().contains_key(header::CONTENT_LENGTH)
        {
            connection.keep_alive.max = Some(0);
        }
    }

    /// Keeps the copy that a repetition or a redirect may need, and adds the headers that are sent on a connection.
    fn complete(&mut self) {
        let has_left = self.has_left();
        let is_http2 = held(&mut self.connection).is_http2();
        let Some(request) = &mut self.request else { return };
        let is_empty = request.body().is_end_stream();
        if self.request_copy.is_none() {
            let whole = self.redirects.are_followed() || self.replayable || is_http2;
            #[cfg(feature = "digest")]
            let whole = whole || self.credentials.is_some();
            self.request_copy = Some(RequestCopy::of(request, whole));
        }
        let headers = request.headers_mut();
        if is_http2 {
            self.core.secrets.mark(headers);
            self.core.add_headers(&self.pool, has_left, headers);
        } else if headers.capacity() == 0 && !has_left && is_empty {
            // The old map is empty and owns no memory. `forget` avoids the cost of dropping it.
            std::mem::forget(std::mem::replace(headers, self.core.all_headers(&self.pool)));
        } else {
            self.core.add_headers(&self.pool, has_left, headers);
            headers.insert(header::HOST, self.pool.address.host.clone());
        }
        if !is_http2 && let Some(forward) = &self.pool.address.forward {
            forward.apply(request, &self.pool.address);
        }
        if let Some(upload) = &self.upload {
            expect(request, upload, is_http2);
        }
        #[cfg(feature = "cookies")]
        self.add_cookies();
    }

    fn hold(&mut self, mut connection: Connection, now: Instant) {
        if let Some(timings) = &mut self.timings {
            timings.hold(now);
        }
        self.limit_timer.start_exchange(now, connection.take_timer());
        self.limit_timer.start_step(Limit::Connect, now);
        self.last_look = None;
        self.connection = Some(connection);
        self.state = State::Held;
    }
}

fn held(connection: &mut Option<Connection>) -> &mut Connection {
    connection.as_mut().expect(HELD)
}

/// Holds the body back until the server asks for it, if the request says so and the connection speaks HTTP/1.1.
fn expect(request: &mut Request<Body>, upload: &Arc<Upload>, is_http2: bool) {
    if !upload.is_held() {
        return;
    }
    if is_http2 {
        request.headers_mut().remove(header::EXPECT);
        upload.ask();
        return;
    }
    request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
    let upload = upload.clone();
    hyper::ext::on_informational(request, move |reply| {
        if reply.status() == StatusCode::CONTINUE {
            upload.ask();
        }
    });
}

pub(super) const HELD: &str = "a connection is held from `Held` on";
