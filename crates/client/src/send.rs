use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::time::Instant;

use crate::{
    body::{Body, Stage, Upload},
    clock::{Clock, earliest},
    connection::{Connection, History, origin_form},
    error::{Delivery, Error, Kind, Phase},
    failure::failure,
    limits::{Limit, Limits},
    pool::{Checkout, Pool, Ticket},
    replica::Replica,
    reply::Reply,
    timings::Recorder,
};

/// The answer to a request, from [`RequestBuilder::send`](crate::RequestBuilder::send): ready with the reply's head.
///
/// Dropping it cancels the request. Before a connection is held nothing was sent, and a dial under way goes on for
/// whoever comes next. After that an HTTP/1.1 connection is closed, an HTTP/2 stream is reset and its connection goes
/// on; the server may have seen the request.
#[must_use = "futures do nothing unless polled"]
pub struct ReplyFuture(Result<Box<Call>, Option<Error>>);

/// One request and its reply, from the first word of the builder to the last byte of the body.
///
/// It is half a kilobyte that would else be moved at every step, and through each future that contains one.
pub(crate) struct Call {
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
    state: State,
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
    Start,
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
    pub(crate) fn new(mut call: Box<Call>, replayable: bool, timings: bool) -> Self {
        call.timings = timings.then(Recorder::new);
        if let Some(request) = &call.request {
            call.upload = request.body().upload();
            if replayable {
                call.replica = Replica::of(request, Vec::new());
            }
            call.replayable = replayable;
        }
        Self(Ok(call))
    }

    pub(crate) fn invalid(error: Error) -> Self {
        Self(Err(Some(error)))
    }
}

impl Future for ReplyFuture {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            Ok(call) => ready!(call.poll(cx)),
            Err(error) => Err(error.take().expect("polled after it was ready")),
        };
        let mut call = std::mem::replace(&mut self.0, Err(None));
        if let Ok(Call { timings: Some(timings), upload, .. }) = call.as_deref_mut() {
            timings.finish(upload.as_deref());
        }
        Poll::Ready(match (answer, call) {
            (Ok(response), Ok(call)) => Ok(Reply::new(response, call)),
            (Err(mut error), call) => {
                if let Some(timings) = call.ok().and_then(|call| call.timings) {
                    error.set_timings(timings.timings());
                }
                Err(error)
            }
            (Ok(_), Err(_)) => unreachable!("only a call has an answer"),
        })
    }
}

impl Call {
    // An idle connection that turns out to be dead, another one, and then one that was never idle.
    const MAX_ATTEMPTS: u32 = 3;
    // Many requests share the end of an HTTP/2 connection, and most of them any number of those that follow.
    const MAX_EXCUSED: u32 = 16;

    pub(crate) fn new(pool: Arc<Pool>, request: Request<Body>, limits: Arc<Limits>) -> Box<Self> {
        Box::new(Self {
            pool,
            clock: Clock::new(limits),
            request: Some(request),
            connection: None,
            upload: None,
            history: None,
            requests: 0,
            timings: None,
            state: State::Start,
            replica: None,
            replayable: false,
            attempts: 0,
            excused: 0,
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Incoming>, Error>> {
        // The clock is read once in a poll, if at all.
        let mut read = None;
        let mut now = || *read.get_or_insert_with(Instant::now);
        loop {
            match &mut self.state {
                State::Start => {
                    self.clock.start_total(now());
                    self.attempts += 1;
                    if let Some(timings) = &mut self.timings {
                        timings.start(now());
                    }
                    let fresh = self.attempts >= Self::MAX_ATTEMPTS;
                    match self.pool.checkout(now(), fresh, &self.clock.limits) {
                        Checkout::Ready(connection) => self.hold(connection, now()),
                        Checkout::Wait(ticket) => {
                            self.clock.start_step(Limit::PoolWait, now());
                            self.state = State::Waiting(ticket);
                        }
                    }
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
                        let request = self.request.take().expect("a request that was not sent is here");
                        let connection = held(&mut self.connection);
                        if connection.is_http2() && self.replica.is_none() {
                            self.replica = Replica::of(&request, connection.take_buffer());
                        }
                        match connection.send(request, &self.pool.address) {
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
                        let connection = held(&mut self.connection);
                        connection.replied();
                        if let Some(replica) = self.replica.take() {
                            connection.keep_buffer(replica.into_buffer());
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
        self.connection = Some(connection);
        self.state = State::Held;
    }

    /// The connection gave the request back: the server has not seen it.
    fn again(&mut self, request: Request<Body>, source: Option<hyper::Error>) -> Result<(), Error> {
        let connection = self.release();
        self.lost(&connection);
        self.excuse(&connection);
        if !(connection.reused || connection.is_http2()) || self.attempts >= Self::MAX_ATTEMPTS {
            let error = Error::new(Kind::Closed, Phase::Head, Delivery::NotSent).at(&self.pool.origin);
            return Err(match source {
                Some(source) => error.source_from(source),
                None => error,
            });
        }
        self.request = Some(request);
        self.state = State::Start;
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
        let closed = error.kind() == Kind::Closed;
        if closed {
            self.lost(&connection);
        }
        if closed && error.delivery() == Delivery::NotSent {
            self.excuse(&connection);
        }
        let again = error.delivery() == Delivery::NotSent || (self.replayable && connection.reused && closed);
        match self.replica.as_ref().and_then(Replica::request) {
            Some(request) if again && self.attempts < Self::MAX_ATTEMPTS => {
                self.upload = request.body().upload();
                self.request = Some(request);
                self.state = State::Start;
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn release(&mut self) -> Connection {
        self.clock.stop_exchange();
        self.connection.take().expect(HELD)
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

    /// Arms the limit of what is waited for now: a place in the pool, or a stage of a dial.
    fn await_connection(&mut self, now: Instant) -> (Phase, Option<Instant>) {
        let State::Waiting(ticket) = &self.state else { return (Phase::PoolWait, None) };
        let stage = ticket.stage();
        if stage == Limit::PoolWait && !ticket.has_dialed() {
            return (Phase::PoolWait, None);
        }
        // What it has cost so far counts, also where another dial went wrong before this one.
        let since = now.checked_sub(ticket.spent(now)[stage]).unwrap_or(now);
        self.clock.start_step(stage, since);
        // Nobody tells this task when the dial moves on, or ends with others. The limit of what comes next is not over
        // before the shortest is.
        let limits = &self.clock.limits;
        (stage.phase(), look_again(now, earliest(limits.dial().shortest(), limits.pool_wait)))
    }

    fn record_wait(&mut self, now: Instant) {
        if let (Some(timings), State::Waiting(ticket)) = (&mut self.timings, &self.state) {
            timings.waited(ticket.spent(now));
        }
    }

    /// Arms the limit of what the connection does now: takes the request's body, or has it and owes an answer.
    fn await_answer(&mut self, now: Instant) -> (Phase, Option<Instant>) {
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
        (Phase::Upload, look_again(now, earliest(limits.first_byte, limits.write_idle)))
    }

    /// Pending, unless a limit has passed.
    fn wait<T>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        phase: Phase,
        look: Option<Instant>,
    ) -> Poll<Result<T, Error>> {
        let (limit, duration) = ready!(self.clock.poll(cx, now, look));
        self.record_wait(now);
        Poll::Ready(Err(Error::timeout(limit, duration, phase).at(&self.pool.origin)))
    }
}

fn held(connection: &mut Option<Connection>) -> &mut Connection {
    connection.as_mut().expect(HELD)
}

const HELD: &str = "a connection is held from `Held` on";

/// When to look at a limit whose time nobody tells: when the shortest has passed, and not at once, however short.
fn look_again(now: Instant, shortest: Option<Duration>) -> Option<Instant> {
    const GRAIN: Duration = Duration::from_millis(1);
    now.checked_add(shortest?.max(GRAIN))
}

impl fmt::Debug for ReplyFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(call) = &self.0 else { return f.write_str("ReplyFuture(Invalid)") };
        let state = match &call.state {
            State::Start => "new",
            State::Waiting(_) => "waiting for a connection",
            State::Held => "connected",
            State::Sent => "sent",
            State::Done => "done",
        };
        f.debug_struct("ReplyFuture")
            .field("origin", &call.pool.origin)
            .field("state", &state)
            .field("attempts", &call.attempts)
            .finish_non_exhaustive()
    }
}
