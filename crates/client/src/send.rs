use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Request;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use crate::{
    body::{Body, Stage, Upload},
    clock::Clock,
    connection::{Connection, origin_form},
    error::{Delivery, Error, Kind, Phase},
    failure::failure,
    limits::{Limit, Limits},
    pool::{Checkout, Pool, Ticket},
    reply::Reply,
};

/// The answer to a request, from [`RequestBuilder::send`](crate::RequestBuilder::send): ready with the reply's head.
///
/// Dropping it cancels the request. Before a connection is held nothing was sent, and a dial under way goes on for
/// whoever comes next. After that an HTTP/1.1 connection is closed, an HTTP/2 stream is reset and its connection goes
/// on; the server may have seen the request.
#[must_use = "futures do nothing unless polled"]
pub struct ReplyFuture {
    state: State,
    clock: Clock,
    call: Option<Call>,
    attempts: u32,
}

/// What stays the same from one connection to the next.
struct Call {
    pool: Arc<Pool>,
    // There while the request may be sent again although the server may have seen it.
    replica: Option<Replica>,
    upload: Option<Arc<Upload>>,
}

struct Replica {
    head: http::request::Parts,
    body: Body,
}

enum State {
    /// Could not be built; the error is for the first poll.
    Invalid(Error),
    /// Needs a connection.
    Start(Request<Body>),
    /// In the pool's queue.
    Waiting(Request<Body>, Ticket),
    /// A connection is held, which may still have to finish with its last reply.
    Held(Request<Body>, Connection),
    /// The connection has the request.
    Sent(Connection),
    /// Nothing more to come.
    Done,
}

impl ReplyFuture {
    // An idle connection that turns out to be dead, another one, and then one that was never idle.
    const MAX_ATTEMPTS: u32 = 3;

    pub(crate) fn new(pool: Arc<Pool>, request: Request<Body>, limits: Limits, replayable: bool) -> Self {
        let mut call = Call { pool, replica: None, upload: request.body().upload() };
        let mut state = State::Done;
        if replayable {
            match Replica::of(&request) {
                Some(replica) => call.replica = Some(replica),
                None => {
                    let why =
                        "a request whose body is a stream cannot be sent twice, so it is not replayable";
                    state = State::Invalid(Error::invalid(Kind::Request, why));
                }
            }
        }
        if matches!(state, State::Done) {
            state = State::Start(request);
        }
        Self { state, clock: Clock::new(limits), call: Some(call), attempts: 0 }
    }

    pub(crate) fn invalid(error: Error) -> Self {
        Self { state: State::Invalid(error), clock: Clock::new(Limits::new()), call: None, attempts: 0 }
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Error>> {
        loop {
            let call = match (std::mem::replace(&mut self.state, State::Done), &mut self.call) {
                (State::Invalid(error), _) => return Poll::Ready(Err(error)),
                (State::Done, _) | (_, None) => panic!("polled after it was ready"),
                (state, Some(call)) => {
                    self.state = state;
                    call
                }
            };
            match std::mem::replace(&mut self.state, State::Done) {
                State::Start(request) => {
                    let now = Instant::now();
                    if self.attempts == 0 {
                        self.clock.start_total(now);
                    }
                    self.attempts += 1;
                    let fresh = self.attempts >= Self::MAX_ATTEMPTS;
                    match call.pool.checkout(now, fresh, self.clock.limits.connect) {
                        Checkout::Ready(connection) => self.hold(request, connection, now),
                        Checkout::Wait(ticket) => {
                            self.clock.start_step(Limit::PoolWait, now);
                            self.state = State::Waiting(request, ticket);
                        }
                    }
                }
                State::Waiting(request, mut ticket) => match ticket.poll(cx) {
                    Poll::Ready(Ok(connection)) => self.hold(request, connection, Instant::now()),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into_error(&call.pool.origin))),
                    Poll::Pending => {
                        let mut phase = Phase::PoolWait;
                        if let Some(since) = ticket.connecting_since() {
                            phase = Phase::Connect;
                            self.clock.start_step(Limit::Connect, since);
                        }
                        self.state = State::Waiting(request, ticket);
                        let error = ready!(self.poll_limits(cx, phase, None));
                        self.state = State::Done;
                        return Poll::Ready(Err(error));
                    }
                },
                State::Held(request, mut connection) => match connection.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let now = Instant::now();
                        match &call.upload {
                            Some(upload) => upload.start(now),
                            None => self.clock.start_step(Limit::FirstByte, now),
                        }
                        connection.send(request, &call.pool.address);
                        self.state = State::Sent(connection);
                    }
                    Poll::Ready(Err(error)) => self.again(request, &connection, error)?,
                    Poll::Pending => {
                        self.state = State::Held(request, connection);
                        let error = ready!(self.poll_limits(cx, Phase::Connect, None));
                        self.state = State::Done;
                        return Poll::Ready(Err(error));
                    }
                },
                State::Sent(mut connection) => match connection.poll_sent(cx) {
                    Poll::Ready(Ok(response)) => {
                        let Some(call) = self.call.take() else { unreachable!("checked above") };
                        let clock = std::mem::replace(&mut self.clock, Clock::new(Limits::new()));
                        return Poll::Ready(Ok(Reply::new(
                            response,
                            connection,
                            call.pool,
                            clock,
                            call.upload,
                        )));
                    }
                    Poll::Ready(Err(error)) => self.failed(&connection, error)?,
                    Poll::Pending => {
                        self.state = State::Sent(connection);
                        let error = ready!(self.poll_answer_limits(cx));
                        self.state = State::Done;
                        return Poll::Ready(Err(error));
                    }
                },
                State::Invalid(_) | State::Done => unreachable!("handled above"),
            }
        }
    }

    fn hold(&mut self, request: Request<Body>, mut connection: Connection, now: Instant) {
        self.clock.start_exchange(now, connection.take_timer());
        self.clock.start_step(Limit::Connect, now);
        self.state = State::Held(request, connection);
    }

    /// The connection gave the request back: the server has not seen it.
    fn again(
        &mut self,
        request: Request<Body>,
        connection: &Connection,
        error: hyper::Error,
    ) -> Result<(), Error> {
        self.clock.stop_exchange();
        if !connection.reused || self.attempts >= Self::MAX_ATTEMPTS {
            let error = Error::new(Kind::Closed, Phase::Head, Delivery::NotSent).source_from(error);
            return Err(self.at(error));
        }
        self.state = State::Start(request);
        Ok(())
    }

    fn failed(
        &mut self,
        connection: &Connection,
        mut error: TrySendError<Request<Body>>,
    ) -> Result<(), Error> {
        if let Some(mut request) = error.take_message() {
            origin_form(&mut request);
            return self.again(request, connection, error.into_error());
        }
        let call = self.call.as_mut();
        if let Some(source) = call.as_ref().and_then(|call| call.upload.as_ref()?.take_error()) {
            let error = Error::new(Kind::RequestBody, Phase::Upload, Delivery::MaybeSent);
            return Err(self.at(error.source_from(source)));
        }
        let error = failure(error.into_error(), Phase::Head, Delivery::MaybeSent);
        let lost =
            error.delivery() == Delivery::NotSent || (connection.reused && error.kind() == Kind::Closed);
        if lost && self.attempts < Self::MAX_ATTEMPTS {
            if let Some((call, request)) = call.and_then(|call| {
                let request = call.replica.as_ref()?.request()?;
                Some((call, request))
            }) {
                call.upload = request.body().upload();
                self.clock.stop_exchange();
                self.state = State::Start(request);
                return Ok(());
            }
        }
        Err(self.at(error))
    }

    /// The limits while the request is on its way and the answer is awaited.
    fn poll_answer_limits(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let stage = self.call.as_ref().and_then(|call| Some(call.upload.as_ref()?.stage()));
        let (phase, look) = match stage {
            None => (Phase::Head, None),
            Some(Stage::Done(at)) => {
                self.clock.start_step(Limit::FirstByte, at);
                (Phase::Head, None)
            }
            Some(stage) => {
                match stage {
                    Stage::Sending(last) => self.clock.start_step(Limit::Idle, last),
                    _ => self.clock.stop_step(),
                }
                // Nobody tells this task when the body is gone. To look once in a limit's time is enough for none of
                // them to be noticed late.
                let limits = self.clock.limits;
                let shortest = limits.first_byte.into_iter().chain(limits.idle).min();
                (Phase::Upload, shortest.and_then(|limit| Instant::now().checked_add(limit)))
            }
        };
        self.poll_limits(cx, phase, look)
    }

    fn poll_limits(&mut self, cx: &mut Context<'_>, phase: Phase, look: Option<Instant>) -> Poll<Error> {
        let (limit, duration) = ready!(self.clock.poll(cx, look));
        Poll::Ready(self.at(Error::timeout(limit, duration, phase)))
    }

    fn at(&self, error: Error) -> Error {
        match &self.call {
            Some(call) => error.at(&call.pool.origin),
            None => error,
        }
    }
}

impl Future for ReplyFuture {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_reply(cx)
    }
}

impl Replica {
    fn of(request: &Request<Body>) -> Option<Self> {
        let body = request.body().replica()?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = request.method().clone();
        head.uri = request.uri().clone();
        head.headers = request.headers().clone();
        Some(Self { head, body })
    }

    fn request(&self) -> Option<Request<Body>> {
        Some(Request::from_parts(self.head.clone(), self.body.replica()?))
    }
}

impl fmt::Debug for ReplyFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Invalid(_) => "invalid",
            State::Start(_) => "new",
            State::Waiting(..) => "waiting for a connection",
            State::Held(..) => "connected",
            State::Sent(_) => "sent",
            State::Done => "done",
        };
        f.debug_struct("ReplyFuture")
            .field("state", &state)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
