use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, response};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::{task::coop, time::Instant};

use crate::{
    body::{Stage, Upload},
    clock::Clock,
    connection::Connection,
    error::{Delivery, Error, Kind, Phase},
    failure::failure,
    limits::{Limit, Limits},
    origin::Origin,
    pool::Pool,
};

/// The body of a reply, with the connection it comes over.
pub(crate) struct ReplyBody {
    incoming: Incoming,
    // Taken when the connection goes back or is given up.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    clock: Clock,
    upload: Option<Arc<Upload>>,
    ended: bool,
}

impl ReplyBody {
    pub(crate) fn new(
        head: &response::Parts,
        incoming: Incoming,
        mut connection: Connection,
        pool: Arc<Pool>,
        mut clock: Clock,
        upload: Option<Arc<Upload>>,
    ) -> Self {
        clock.stop_step();
        connection.keep_alive = keep_alive(&head.headers).or(connection.keep_alive);
        // After a switch of protocols the connection speaks something else.
        let connection = (head.status != StatusCode::SWITCHING_PROTOCOLS).then_some(connection);
        let mut body = Self { incoming, connection, pool, clock, upload, ended: false };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    pub(crate) fn limits(&self) -> Limits {
        *self.clock.limits
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.pool.origin
    }

    /// The length, where the head told it or all has come.
    pub(crate) fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let coop = ready!(coop::poll_proceed(cx));
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    coop.made_progress();
                    self.clock.stop_step();
                    // A body that never stops coming has a limit too.
                    if let Some((limit, duration)) = self.clock.passed() {
                        return Poll::Ready(Some(Err(self.fail(Error::timeout(
                            limit,
                            duration,
                            Phase::Body,
                        )))));
                    }
                    let Ok(piece) = frame.into_data() else { continue };
                    if self.incoming.is_end_stream() {
                        self.finish();
                    }
                    if piece.is_empty() && !self.ended {
                        continue;
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                Poll::Ready(Some(Err(error))) => {
                    let upload = self.upload.as_ref().and_then(|upload| upload.take_error());
                    let error = match upload {
                        Some(source) => Error::body(Kind::RequestBody).source_from(source),
                        None => failure(error, Phase::Body, Delivery::Replied),
                    };
                    return Poll::Ready(Some(Err(self.fail(error))));
                }
                Poll::Ready(None) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    if !self.clock.has_step() {
                        self.clock.start_step(Limit::Idle, Instant::now());
                    }
                    let (limit, duration) = ready!(self.clock.poll(cx, None));
                    let error = Error::timeout(limit, duration, Phase::Body);
                    return Poll::Ready(Some(Err(self.fail(error))));
                }
            }
        }
    }

    /// Gives the reply up with an error.
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        self.ended = true;
        self.connection = None;
        error.at(&self.pool.origin)
    }

    /// The whole reply has come: the connection may serve another.
    fn finish(&mut self) {
        self.ended = true;
        let Some(mut connection) = self.connection.take() else { return };
        // An answer that came before the request was gone: what is left of it would go in front of the next request.
        if self.upload.as_ref().is_some_and(|upload| !matches!(upload.stage(), Stage::Done(_))) {
            return;
        }
        connection.keep_timer(self.clock.take_timer());
        self.pool.check_in(connection);
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        // What has arrived already costs nothing to read, and may be the end: of a short body that nobody wanted, or
        // of a stream whose reader left at its last event.
        const FRAMES: usize = 4;
        for _ in 0..FRAMES {
            if self.connection.is_none() {
                return;
            }
            match Pin::new(&mut self.incoming).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(_))) if self.incoming.is_end_stream() => self.finish(),
                Poll::Ready(None) => self.finish(),
                Poll::Ready(Some(Ok(_))) => {}
                _ => return,
            }
        }
    }
}

/// How long to keep a connection whose server named a time (RFC 9112 leaves the field to RFC 2068, section 19.7.1):
/// a second less than it, or half of it, so that both sides never act at the same moment.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    let parameters = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let timeout = parameters.split(',').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("timeout");
        named.then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
    })?;
    let timeout = Duration::from_secs(timeout.into());
    Some(timeout - (timeout / 2).min(Duration::from_secs(1)))
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyBody")
            .field("origin", self.origin())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
