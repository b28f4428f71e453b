use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
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
    replica::Replica,
    reply::Reply,
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
    // Another copy, if the request may be sent again although the server may have seen it; and over HTTP/2, which does
    // not give back a request that it proves unseen.
    replica: Option<Replica>,
    replayable: bool,
    // Those that count, and the connections of HTTP/2 whose end did not.
    attempts: u32,
    excused: u32,
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
    pub(crate) fn new(pool: Arc<Pool>, request: Request<Body>, limits: Limits, replayable: bool) -> Self {
        let replica = if replayable { Replica::of(&request, Vec::new()) } else { None };
        if replayable && replica.is_none() {
            let why = "a request whose body is a stream cannot be sent twice, so it is not replayable";
            return Self::invalid(Error::invalid(Kind::Request, why).at(&pool.origin));
        }
        let upload = request.body().upload();
        let state = State::Start(request);
        let clock = Clock::new(limits);
        Self(Inner::Call(Call { state, pool, clock, upload, replica, replayable, attempts: 0, excused: 0 }))
    }

    pub(crate) fn invalid(error: Error) -> Self {
        Self(Inner::Invalid(Some(error)))
    }
}

impl Future for ReplyFuture {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Call(call) => call.poll(cx),
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
    // Many requests share the end of an HTTP/2 connection, and most of them any number of those that follow.
    const MAX_EXCUSED: u32 = 16;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Error>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Start(request) => {
                    let now = Instant::now();
                    self.clock.start_total(now);
                    self.attempts += 1;
                    let fresh = self.attempts >= Self::MAX_ATTEMPTS;
                    match self.pool.checkout(now, fresh, self.clock.limits.connect) {
                        Checkout::Ready(connection) => self.hold(request, connection, now),
                        Checkout::Wait(ticket) => {
                            self.clock.start_step(Limit::PoolWait, now);
                            self.state = State::Waiting(request, ticket);
                        }
                    }
                }
                State::Waiting(request, mut ticket) => match ticket.poll(cx) {
                    Poll::Ready(Ok(connection)) => self.hold(request, connection, Instant::now()),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into_error(&self.pool.origin))),
                    Poll::Pending => {
                        let mut phase = Phase::PoolWait;
                        if let Some(since) = ticket.connecting_since() {
                            phase = Phase::Connect;
                            self.clock.start_step(Limit::Connect, since);
                        }
                        return self.wait(cx, State::Waiting(request, ticket), phase, None);
                    }
                },
                State::Held(request, mut connection) => match connection.poll_ready(cx) {
                    Poll::Ready(true) => {
                        let now = Instant::now();
                        match &self.upload {
                            Some(upload) => upload.start(now),
                            None => self.clock.start_step(Limit::FirstByte, now),
                        }
                        if connection.is_http2() && self.replica.is_none() {
                            self.replica = Replica::of(&request, connection.take_buffer());
                        }
                        match connection.send(request, &self.pool.address) {
                            None => self.state = State::Sent(connection),
                            Some(request) => self.again(request, &connection, None)?,
                        }
                    }
                    Poll::Ready(false) => self.again(request, &connection, None)?,
                    Poll::Pending => {
                        return self.wait(cx, State::Held(request, connection), Phase::Connect, None);
                    }
                },
                State::Sent(mut connection) => match connection.poll_sent(cx) {
                    Poll::Ready(Ok(response)) => {
                        if let Some(replica) = self.replica.take() {
                            connection.keep_buffer(replica.into_buffer());
                        }
                        let clock = std::mem::replace(&mut self.clock, Clock::new(Limits::new()));
                        let upload = self.upload.take();
                        return Poll::Ready(Ok(Reply::new(
                            response,
                            connection,
                            self.pool.clone(),
                            clock,
                            upload,
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
        self.clock.start_exchange(now, connection.take_timer());
        self.clock.start_step(Limit::Connect, now);
        self.state = State::Held(request, connection);
    }

    /// The connection gave the request back: the server has not seen it.
    fn again(
        &mut self,
        request: Request<Body>,
        connection: &Connection,
        source: Option<hyper::Error>,
    ) -> Result<(), Error> {
        self.clock.stop_exchange();
        self.lost(connection);
        self.excuse(connection);
        if !(connection.reused || connection.is_http2()) || self.attempts >= Self::MAX_ATTEMPTS {
            let error = Error::new(Kind::Closed, Phase::Head, Delivery::NotSent).at(&self.pool.origin);
            return Err(match source {
                Some(source) => error.source_from(source),
                None => error,
            });
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
            return self.again(request, connection, Some(error.into_error()));
        }
        if let Some(source) = self.upload.as_ref().and_then(|upload| upload.take_error()) {
            let error = Error::new(Kind::RequestBody, Phase::Upload, Delivery::MaybeSent);
            return Err(error.at(&self.pool.origin).source_from(source));
        }
        let error = failure(error.into_error(), Phase::Head, Delivery::MaybeSent).at(&self.pool.origin);
        let closed = error.kind() == Kind::Closed;
        if closed {
            self.lost(connection);
        }
        if closed && error.delivery() == Delivery::NotSent {
            self.excuse(connection);
        }
        let again = error.delivery() == Delivery::NotSent || (self.replayable && connection.reused && closed);
        match self.replica.as_ref().and_then(Replica::request) {
            Some(request) if again && self.attempts < Self::MAX_ATTEMPTS => {
                self.upload = request.body().upload();
                self.clock.stop_exchange();
                self.state = State::Start(request);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// The connection ended before a reply came.
    fn lost(&mut self, connection: &Connection) {
        // The answer to a request that crossed the server's FIN comes within a round trip.
        const ROUND_TRIP: Duration = Duration::from_secs(1);
        let now = Instant::now();
        let recent = connection.idle.filter(|(_, taken)| now.duration_since(*taken) < ROUND_TRIP);
        if let Some((since, taken)) = recent {
            self.pool.died_of_age(taken.duration_since(since), taken);
        }
    }

    /// What was not sent because an HTTP/2 connection ended counts for less.
    fn excuse(&mut self, connection: &Connection) {
        // A server that ends each connection after a few replies may do so any number of times: one of those that wait
        // is served each time.
        let serves = connection.serves_others();
        if connection.is_http2() && (serves || self.excused < Self::MAX_EXCUSED) {
            self.attempts -= 1;
            self.excused += u32::from(!serves);
        }
    }

    /// Arms the limit of what the connection does now: takes the request's body, or has it and owes an answer.
    fn await_answer(&mut self) -> (Phase, Option<Instant>) {
        let Some(upload) = &self.upload else { return (Phase::Head, None) };
        match upload.stage() {
            Stage::Done(at) => {
                self.clock.start_step(Limit::FirstByte, at);
                return (Phase::Head, None);
            }
            Stage::Sending(last) => self.clock.start_step(Limit::Idle, last),
            Stage::Producing => self.clock.stop_step(),
        }
        // Nobody tells this task when the body is gone, or stands still again. To look once in the shortest limit's
        // time is enough for none of them to be noticed late.
        let limits = self.clock.limits;
        let shortest = limits.first_byte.into_iter().chain(limits.idle).min();
        (Phase::Upload, shortest.and_then(|limit| Instant::now().checked_add(limit)))
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
                Poll::Ready(Err(Error::timeout(limit, duration, phase).at(&self.pool.origin)))
            }
            Poll::Pending => {
                self.state = state;
                Poll::Pending
            }
        }
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
