//! What happens to a request whose connection ends before there is a reply.

use std::time::Duration;

use http::Request;
use hyper::client::conn::TrySendError;
use tokio::time::Instant;

use super::{Call, State, call::HELD};
use crate::{
    body::Body,
    connect_failure::ConnectFailure,
    connection::{Connection, origin_form},
    error::{Delivery, Error, Kind, Phase},
    failure::failure,
    request_copy::RequestCopy,
};

/// How many times a request was sent, or was about to be sent.
#[derive(Default)]
pub(super) struct Tries {
    /// How many times it was refused, or sent again although it may have arrived.
    repeats: u32,
    /// How many connections that had been used before turned out to be dead.
    dead: u32,
    /// How many new connections ended before they took the request, and when the first of them did.
    lost: u32,
    lost_since: Option<Instant>,
}

impl Tries {
    // A request that was refused, or that may have arrived, is sent three times at most.
    const MAX_REPEATS: u32 = 2;
    // After this many dead connections, a new one is used.
    const MAX_DEAD: u32 = 2;
    // The pause between new connections that end at once: none after the first, then this, doubled each time.
    const PAUSE: Duration = Duration::from_millis(10);
    const MAX_PAUSE: Duration = Duration::from_secs(1);

    /// Whether the next connection must be a new one.
    pub(super) fn want_new(&self) -> bool {
        self.dead >= Self::MAX_DEAD
    }

    /// One more new connection has ended. Returns how long to wait before the next one.
    fn pause(&mut self) -> Option<Duration> {
        self.lost += 1;
        let doublings = self.lost.checked_sub(2)?;
        Some(Self::PAUSE.saturating_mul(1 << doublings.min(16)).min(Self::MAX_PAUSE))
    }
}

impl Call {
    /// The connection gave the request back, so the server has not seen it.
    pub(super) fn again(&mut self, source: Option<hyper::Error>) -> Result<(), Error> {
        let connection = self.release();
        self.unsent(&connection).map_err(|error| match source {
            Some(source) => error.source_from(source),
            None => error,
        })
    }

    /// Sends the request again, because a connection ended before it took it. This has no maximum if the connection
    /// had served requests before.
    ///
    /// A new connection that ends at once is another case. Such a server cannot be reached at the moment, as if it
    /// refused the connection. So there are pauses, and the total time is limited as the time for connecting is.
    fn unsent(&mut self, connection: &Connection) -> Result<(), Error> {
        if connection.reused {
            self.pool.found_ended(connection);
        }
        self.state = State::Start;
        if connection.is_http2() && connection.serves_others() {
            return Ok(());
        }
        if connection.reused && !connection.is_http2() {
            self.tries.dead += 1;
            return Ok(());
        }
        let now = Instant::now();
        let spent = now.duration_since(*self.tries.lost_since.get_or_insert(now));
        if self.limit_timer.limits.connect.is_some_and(|limit| spent >= limit) {
            let error = Error::new(Kind::Closed, Phase::Connect, Delivery::NotSent);
            return Err(error.failed_to_connect(ConnectFailure::Handshake).at(&self.pool.origin));
        }
        if let Some(pause) = self.tries.pause() {
            self.state = State::Pausing(now + pause);
        }
        Ok(())
    }

    pub(super) fn failed(&mut self, mut error: TrySendError<Request<Body>>) -> Result<(), Error> {
        if let Some(mut request) = error.take_message() {
            origin_form(&mut request);
            self.request = Some(request);
            return self.again(Some(error.into_error()));
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
        if !again || (counts && self.tries.repeats >= Tries::MAX_REPEATS) {
            return Err(error);
        }
        let Some(request) = self.request_copy.as_ref().and_then(RequestCopy::request) else {
            return Err(error);
        };
        self.upload = request.body().upload();
        self.request = Some(request);
        if !counts {
            return self.unsent(&connection);
        }
        self.tries.repeats += 1;
        self.tries.dead += u32::from(closed);
        self.state = State::Start;
        Ok(())
    }

    fn release(&mut self) -> Connection {
        self.limit_timer.stop_exchange();
        self.last_look = None;
        self.connection.take().expect(HELD)
    }
}
