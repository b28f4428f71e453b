use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
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
    timings::Recorder,
};

/// The answer to a request, from [`RequestBuilder::send`](crate::RequestBuilder::send): ready with the reply's head.
///
/// Dropping it cancels the request. Before a connection is held nothing was sent, and a dial under way goes on for
/// whoever comes next. After that an HTTP/1.1 connection is closed, an HTTP/2 stream is reset and its connection goes
/// on; the server may have seen the request.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct ReplyFuture(Inner);

#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for every request that is sent")]
enum Inner {
    /// Could not be built; the error is for the first poll.
    Invalid(Option<Error>),
    /// On its way.
    Call(Call),
}

struct Call {
    state: State,
    pool: Arc<Pool>,
    clock: Clock,
    upload: Option<Arc<Upload>>,
    // There if the request may be sent again although the server may have seen it.
    replica: Option<Replica>,
    attempts: u32,
    timings: Option<Box<Recorder>>,
}

struct Replica {
    head: http::request::Parts,
    body: Body,
}

enum State {
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
    pub(crate) fn new(
        pool: Arc<Pool>,
        request: Request<Body>,
        limits: Arc<Limits>,
        replayable: bool,
        timings: bool,
    ) -> Self {
        let replica = if replayable { Replica::of(&request) } else { None };
        if replayable && replica.is_none() {
            let why = "a request whose body is a stream cannot be sent twice, so it is not replayable";
            return Self::invalid(Error::invalid(Kind::Request, why).at(&pool.origin));
        }
        let upload = request.body().upload();
        let state = State::Start(request);
        let timings = timings.then(Recorder::new);
        Self(Inner::Call(Call {
            state,
            pool,
            clock: Clock::new(limits),
            upload,
            replica,
            attempts: 0,
            timings,
        }))
    }

    pub(crate) fn invalid(error: Error) -> Self {
        Self(Inner::Invalid(Some(error)))
    }
}

impl Future for ReplyFuture {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Call(call) => {
                // In place: to map it would be to copy the reply.
                let mut polled = call.poll(cx);
                if let (Poll::Ready(Err(error)), Some(timings)) = (&mut polled, &mut call.timings) {
                    timings.finish(call.upload.as_deref());
                    error.set_timings(timings.timings());
                }
                polled
            }
            Inner::Invalid(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => panic!("polled after it was ready"),
            },
        }
    }
}

impl Call {
    // An idle connection that turns out to be dead, another one, and then one that was never idle.
    const MAX_ATTEMPTS: u32 = 3;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Error>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Start(request) => {
                    let now = Instant::now();
                    if self.attempts == 0 {
                        self.clock.start_total(now);
                    }
                    self.attempts += 1;
                    self.record(|timings| timings.start(now));
                    let fresh = self.attempts >= Self::MAX_ATTEMPTS;
                    match self.pool.checkout(now, fresh, self.clock.limits.dial()) {
                        Checkout::Ready(connection) => self.hold(request, connection, now),
                        Checkout::Wait(ticket) => {
                            self.clock.start_step(Limit::PoolWait, now);
                            self.state = State::Waiting(request, ticket);
                        }
                    }
                }
                State::Waiting(request, mut ticket) => {
                    let served = ticket.poll(cx);
                    let Poll::Ready(served) = served else {
                        let (phase, look) = self.await_connection(&ticket);
                        return self.wait(cx, State::Waiting(request, ticket), phase, look);
                    };
                    let now = Instant::now();
                    self.record(|timings| timings.waited(ticket.spent(now)));
                    let connection = served.map_err(|error| error.into_error(&self.pool.origin))?;
                    self.hold(request, connection, now);
                }
                State::Held(request, mut connection) => match connection.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let now = Instant::now();
                        match &self.upload {
                            Some(upload) => upload.start(now),
                            None => self.clock.start_step(Limit::FirstByte, now),
                        }
                        connection.send(request, &self.pool.address);
                        self.state = State::Sent(connection);
                    }
                    Poll::Ready(Err(error)) => self.again(request, &connection, error)?,
                    Poll::Pending => {
                        return self.wait(cx, State::Held(request, connection), Phase::Connect, None);
                    }
                },
                State::Sent(mut connection) => match connection.poll_sent(cx) {
                    Poll::Ready(Ok(response)) => {
                        let clock = self.clock.take();
                        if let Some(timings) = &mut self.timings {
                            timings.finish(self.upload.as_deref());
                        }
                        return Poll::Ready(Ok(Reply::new(
                            response,
                            connection,
                            self.pool.clone(),
                            clock,
                            self.upload.take(),
                            self.timings.take(),
                        )));
                    }
                    Poll::Ready(Err(error)) => self.failed(&connection, error)?,
                    Poll::Pending => {
                        let (phase, look) = self.await_answer();
                        return self.wait(cx, State::Sent(connection), phase, look);
                    }
                },
                State::Done => panic!("polled after it was ready"),
            }
        }
    }

    fn hold(&mut self, request: Request<Body>, mut connection: Connection, now: Instant) {
        self.record(|timings| timings.hold(now));
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
            return Err(error.at(&self.pool.origin));
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
        if let Some(source) = self.upload.as_ref().and_then(|upload| upload.take_error()) {
            let error = Error::new(Kind::RequestBody, Phase::Upload, Delivery::MaybeSent);
            return Err(error.at(&self.pool.origin).source_from(source));
        }
        let error = failure(error.into_error(), Phase::Head, Delivery::MaybeSent).at(&self.pool.origin);
        let lost =
            error.delivery() == Delivery::NotSent || (connection.reused && error.kind() == Kind::Closed);
        match self.replica.as_ref().and_then(Replica::request) {
            Some(request) if lost && self.attempts < Self::MAX_ATTEMPTS => {
                self.upload = request.body().upload();
                self.clock.stop_exchange();
                self.state = State::Start(request);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Arms the limit of what is waited for now: a place in the pool, or a stage of a dial.
    fn await_connection(&mut self, ticket: &Ticket) -> (Phase, Option<Instant>) {
        let stage = ticket.stage();
        if stage == Limit::PoolWait && !ticket.has_dialed() {
            return (Phase::PoolWait, None);
        }
        let now = Instant::now();
        // What it has cost so far counts, also where another dial went wrong before this one.
        let since = now.checked_sub(ticket.spent(now)[stage]).unwrap_or(now);
        self.clock.start_step(stage, since);
        // Nobody tells this task when the dial moves on. The next stage's limit is not over before the shortest is.
        let look = self.clock.limits.dial().shortest().and_then(|limit| now.checked_add(limit));
        (stage.phase(), look)
    }

    /// Arms the limit of what the connection does now: takes the request's body, or has it and owes an answer.
    fn await_answer(&mut self) -> (Phase, Option<Instant>) {
        let Some(upload) = &self.upload else { return (Phase::Head, None) };
        match upload.stage() {
            Stage::Done(at) => {
                self.clock.start_step(Limit::FirstByte, at);
                return (Phase::Head, None);
            }
            Stage::Sending(last) => self.clock.start_step(Limit::WriteIdle, last),
            Stage::Producing => self.clock.stop_step(),
        }
        // Nobody tells this task when the body is gone, or stands still again. To look once in the shortest limit's
        // time is enough for none of them to be noticed late.
        let limits = &self.clock.limits;
        let shortest = limits.first_byte.into_iter().chain(limits.write_idle).min();
        (Phase::Upload, shortest.and_then(|limit| Instant::now().checked_add(limit)))
    }

    fn record(&mut self, what: impl FnOnce(&mut Recorder)) {
        if let Some(timings) = &mut self.timings {
            what(timings);
        }
    }

    /// Pending in `state`, unless a limit has passed.
    fn wait(
        &mut self,
        cx: &mut Context<'_>,
        state: State,
        phase: Phase,
        look: Option<Instant>,
    ) -> Poll<Result<Reply, Error>> {
        match self.clock.poll(cx, look) {
            Poll::Ready((limit, duration)) => {
                if let State::Waiting(_, ticket) = &state {
                    self.record(|timings| timings.waited(ticket.spent(Instant::now())));
                }
                Poll::Ready(Err(Error::timeout(limit, duration, phase).at(&self.pool.origin)))
            }
            Poll::Pending => {
                self.state = state;
                Poll::Pending
            }
        }
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

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Call(call) = self else { return f.write_str("Invalid") };
        let state = match &call.state {
            State::Start(_) => "new",
            State::Waiting(..) => "waiting for a connection",
            State::Held(..) => "connected",
            State::Sent(_) => "sent",
            State::Done => "done",
        };
        f.debug_struct("Call")
            .field("origin", &call.pool.origin)
            .field("state", &state)
            .field("attempts", &call.attempts)
            .finish_non_exhaustive()
    }
}
