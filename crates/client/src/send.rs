#[cfg(feature = "cookies")]
mod cookies;
#[cfg(feature = "digest")]
mod digest;
mod going_on;
mod waiting;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::time::Instant;

#[cfg(feature = "digest")]
use crate::digest::Credentials;
use crate::{
    body::{Body, Upload},
    client::{Client, Core},
    clock::Clock,
    connect::Proxies,
    connect_failure::ConnectFailure,
    connection::{Connection, History, origin_form},
    error::{Delivery, Error, Kind, Phase},
    failure::failure,
    layers::{Layered, Options},
    limits::Limit,
    look::LastLook,
    origin::Origin,
    pool::{Checkout, Pool, Ticket},
    redirect::{Chain, Redirects},
    replica::Replica,
    reply::Reply,
    request::{FRAMING, NO_TUNNEL, NOT_REPLAYABLE, announce_nothing, ask},
    timings::Recorder,
};

/// The answer to a request, from [`RequestBuilder::send`](crate::RequestBuilder::send): ready with the reply's head.
///
/// Dropping it cancels the request. Before a connection is held nothing was sent, and a dial under way goes on for
/// whoever comes next. After that an HTTP/1.1 connection is closed, an HTTP/2 stream is reset and its connection goes
/// on; the server may have seen the request.
#[must_use = "futures do nothing unless polled"]
pub struct ReplyFuture(Sending);

enum Sending {
    Call(Box<Call>),
    /// Through the client's layers.
    Layers(Box<Layered>),
    /// Nothing is, because of this; none once it was told.
    Invalid(Option<Error>),
}

/// One request and its reply, from the first word of the builder to the last byte of the body.
///
/// It is half a kilobyte that would else be moved at every step, and through each future that contains one.
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) clock: Clock,
    // With the connection while that has it.
    pub(crate) request: Option<Request<Body>>,
    pub(crate) connection: Option<Connection>,
    pub(crate) upload: Option<Arc<Upload>>,
    // Of the connection that the reply came over.
    pub(crate) history: Option<Arc<History>>,
    pub(crate) requests: u64,
    pub(crate) timings: Option<Box<Recorder>>,
    // What is done before a limit that has passed ends it.
    pub(crate) last_look: Option<LastLook>,
    state: State,
    // From when a connection takes it. Whole if the request may be sent again although the server may have seen it, or
    // somewhere else; and over HTTP/2, which does not give back a request that it proves unseen.
    replica: Option<Replica>,
    replayable: bool,
    pub(crate) redirects: Redirects,
    // The request's own, in place of the client's.
    pub(crate) proxies: Option<Arc<Proxies>>,
    pub(crate) chain: Option<Box<Chain>>,
    // Whether the layers above have followed a redirect to another origin, and this is the reply that they get.
    left: bool,
    // The same, to another site.
    #[cfg(feature = "cookies")]
    crossed: bool,
    #[cfg(feature = "digest")]
    pub(crate) credentials: Option<Arc<Credentials>>,
    // Whether it is the answer to a challenge.
    #[cfg(feature = "digest")]
    is_answer: bool,
    is_exchange: bool,
    // How often it was refused, or sent although it may have arrived before.
    repeats: u32,
    // How many connections that had been used before turned out to be dead.
    dead: u32,
    // How many new ones ended before they took it, and when the first of them did.
    lost: u32,
    lost_since: Option<Instant>,
}

enum State {
    /// Needs a connection.
    Start,
    /// Needs one, but not before this time: the last new one ended at once.
    Pausing(Instant),
    /// In the pool's queue.
    Waiting(Ticket),
    /// A connection is held, which may still have to finish with its last reply.
    Held,
    /// The connection has the request.
    Sent,
    /// Nothing more to come.
    Done,
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

    /// A request with an absolute URI, through the client's layers if it has any.
    pub(crate) fn of_request(client: &Client, mut request: Request<Body>) -> Self {
        let Some(stack) = &client.stack else {
            return Call::of_request(&client.core, request).map_or_else(Self::invalid, Self::new);
        };
        let origin = match Origin::of(request.uri()) {
            Ok(origin) => origin,
            Err(error) => return Self::invalid(error),
        };
        let options = request.extensions_mut().remove().unwrap_or_else(|| client.core.options());
        Self::layered(Layered::new(client.core.clone(), stack.clone(), request, options, origin))
    }

    /// The same under layers, which get the reply as it came.
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
        let mut answer = ready!(call.poll(cx));
        while let Ok(response) = &answer
            && call.may_go_on(response)
        {
            match answer.and_then(|response| call.go_on(response)) {
                Ok(None) => answer = ready!(call.poll(cx)),
                Ok(Some(response)) => {
                    answer = Ok(response);
                    break;
                }
                Err(error) => {
                    answer = Err(error);
                    break;
                }
            }
        }
        let Sending::Call(mut call) = std::mem::replace(&mut self.0, Sending::Invalid(None)) else {
            unreachable!("only a call has an answer");
        };
        if let Call { timings: Some(timings), upload, .. } = &mut *call {
            timings.finish(upload.as_deref());
        }
        Poll::Ready(match answer {
            Ok(response) => Ok(Reply::new(response, call)),
            Err(error) => Err(call.describe(error)),
        })
    }
}

impl Call {
    // What was refused, or may have arrived, is sent three times at most.
    const MAX_REPEATS: u32 = 2;
    // After so many dead ones it is a new connection.
    const MAX_DEAD: u32 = 2;
    // Between new connections that end at once: nothing after the first, then this, doubled each time.
    const PAUSE: Duration = Duration::from_millis(10);
    const MAX_PAUSE: Duration = Duration::from_secs(1);

    pub(crate) fn new(core: &Arc<Core>, pool: Arc<Pool>, request: Request<Body>) -> Box<Self> {
        Box::new(Self {
            core: core.clone(),
            pool,
            clock: Clock::new(core.limits.clone()),
            request: Some(request),
            connection: None,
            upload: None,
            history: None,
            requests: 0,
            timings: None,
            last_look: None,
            state: State::Start,
            replica: None,
            replayable: false,
            redirects: core.redirects,
            proxies: None,
            chain: None,
            left: false,
            #[cfg(feature = "cookies")]
            crossed: false,
            #[cfg(feature = "digest")]
            credentials: None,
            #[cfg(feature = "digest")]
            is_answer: false,
            is_exchange: false,
            repeats: 0,
            dead: 0,
            lost: 0,
            lost_since: None,
        })
    }

    /// A request with an absolute URI.
    fn of_request(core: &Arc<Core>, mut request: Request<Body>) -> Result<Box<Self>, Error> {
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
        let mut call = Self::new(core, pool, request);
        call.clock.limits = options.limits;
        call.clock.end_at(options.ends);
        call.redirects = options.redirects;
        call.proxies = options.proxies;
        call.left = options.left;
        #[cfg(feature = "cookies")]
        {
            call.crossed = options.crossed;
        }
        #[cfg(feature = "digest")]
        {
            call.credentials = options.credentials;
        }
        call.start(options.replayable, options.timings);
        Ok(call)
    }

    /// Takes another way than the client's.
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

    /// Takes a connection that can be switched to another protocol.
    pub(crate) fn go_for_upgrade(&mut self) -> Result<(), Error> {
        let origin = self.pool.origin.clone();
        self.pool = self.core.pool_for_upgrade(origin, self.proxies.as_deref())?;
        Ok(())
    }

    /// To be called once the request is what it is to be.
    pub(crate) fn start(&mut self, replayable: bool, timings: bool) {
        self.timings = timings.then(Recorder::new);
        let Some(request) = &mut self.request else { return };
        announce_nothing(request);
        self.upload = request.body().upload();
        self.replayable = replayable;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Incoming>, Error>> {
        // The clock is read once in a poll, if at all.
        let mut read = None;
        let mut now = || *read.get_or_insert_with(Instant::now);
        loop {
            match &mut self.state {
                State::Start => {
                    self.clock.start_total(now());
                    if let Some(timings) = &mut self.timings {
                        timings.start(now());
                    }
                    let fresh = self.dead >= Self::MAX_DEAD;
                    match self.pool.checkout(now(), fresh, &self.clock.limits) {
                        Checkout::Ready(connection) => self.hold(connection, now()),
                        Checkout::Wait(ticket) => {
                            self.clock.start_step(Limit::PoolWait, now());
                            self.state = State::Waiting(ticket);
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
                State::Waiting(ticket) => {
                    let Poll::Ready(served) = ticket.poll(cx) else {
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
                            None => self.clock.start_step(Limit::FirstByte, now()),
                        }
                        let mut request = self.request.take().expect("a request that was not sent is here");
                        let has_left = self.has_left();
                        let connection = held(&mut self.connection);
                        if self.replica.is_none() {
                            let whole =
                                self.redirects.are_followed() || self.replayable || connection.is_http2();
                            #[cfg(feature = "digest")]
                            let whole = whole || self.credentials.is_some();
                            self.replica = Some(Replica::of(&request, whole));
                        }
                        self.core.add_headers(&self.pool, has_left, request.headers_mut());
                        if let Some(upload) = &self.upload {
                            expect(&mut request, upload, connection.is_http2());
                        }
                        #[cfg(feature = "cookies")]
                        self.add_cookies(&mut request);
                        match held(&mut self.connection).send(request, &self.pool.address) {
                            None => self.state = State::Sent,
                            Some(request) => self.again(request, None)?,
                        }
                    }
                    Poll::Ready(false) => {
                        let request = self.request.take().expect("a request that was not sent is here");
                        self.again(request, None)?;
                    }
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

    fn hold(&mut self, mut connection: Connection, now: Instant) {
        if let Some(timings) = &mut self.timings {
            timings.hold(now);
        }
        self.clock.start_exchange(now, connection.take_timer());
        self.clock.start_step(Limit::Connect, now);
        self.last_look = None;
        self.connection = Some(connection);
        self.state = State::Held;
    }

    /// The connection gave the request back: the server has not seen it.
    fn again(&mut self, request: Request<Body>, source: Option<hyper::Error>) -> Result<(), Error> {
        let connection = self.release();
        self.unsent(&connection, request).map_err(|error| match source {
            Some(source) => error.source_from(source),
            None => error,
        })
    }

    /// Sends a request again that a connection ended without: however often, if the connection had served others.
    ///
    /// A new one that ends at once is another thing. That is a server which cannot be reached for now, as if it refused
    /// to be connected to; so there are pauses, and what all of it takes is bounded as connecting is.
    fn unsent(&mut self, connection: &Connection, request: Request<Body>) -> Result<(), Error> {
        if connection.reused {
            self.pool.found_ended(connection);
        }
        self.request = Some(request);
        self.state = State::Start;
        if connection.is_http2() && connection.serves_others() {
            return Ok(());
        }
        if connection.reused && !connection.is_http2() {
            self.dead += 1;
            return Ok(());
        }
        let now = Instant::now();
        let spent = now.duration_since(*self.lost_since.get_or_insert(now));
        if self.clock.limits.connect.is_some_and(|limit| spent >= limit) {
            let error = Error::new(Kind::Closed, Phase::Connect, Delivery::NotSent);
            return Err(error.failed_to_connect(ConnectFailure::Handshake).at(&self.pool.origin));
        }
        self.lost += 1;
        if let Some(doublings) = self.lost.checked_sub(2) {
            let pause = Self::PAUSE.saturating_mul(1 << doublings.min(16)).min(Self::MAX_PAUSE);
            self.state = State::Pausing(now + pause);
        }
        Ok(())
    }

    fn failed(&mut self, mut error: TrySendError<Request<Body>>) -> Result<(), Error> {
        if let Some(mut request) = error.take_message() {
            origin_form(&mut request);
            return self.again(request, Some(error.into_error()));
        }
        if let Some(source) = self.upload.as_ref().and_then(|upload| upload.take_error()) {
            let error = Error::new(Kind::RequestBody, Phase::Upload, Delivery::MaybeSent);
            return Err(error.at(&self.pool.origin).source_from(source));
        }
        let connection = self.release();
        let error = failure(error.into_error(), Phase::Head, Delivery::MaybeSent).at(&self.pool.origin);
        let (closed, unsent) = (error.kind() == Kind::Closed, error.delivery() == Delivery::NotSent);
        let again = if closed { unsent || (self.replayable && connection.reused) } else { unsent };
        let counts = !(closed && unsent);
        if !again || (counts && self.repeats >= Self::MAX_REPEATS) {
            return Err(error);
        }
        let Some(request) = self.replica.as_ref().and_then(Replica::request) else { return Err(error) };
        self.upload = request.body().upload();
        if !counts {
            return self.unsent(&connection, request);
        }
        self.repeats += 1;
        self.dead += u32::from(closed);
        self.request = Some(request);
        self.state = State::Start;
        Ok(())
    }

    fn release(&mut self) -> Connection {
        self.clock.stop_exchange();
        self.last_look = None;
        self.connection.take().expect(HELD)
    }
}

fn held(connection: &mut Option<Connection>) -> &mut Connection {
    connection.as_mut().expect(HELD)
}

/// Has the body of a request wait to be asked for, where that is to be, and the connection speaks HTTP/1.1.
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

const HELD: &str = "a connection is held from `Held` on";

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
