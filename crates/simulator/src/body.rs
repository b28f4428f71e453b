//! A reply's body, played from a script.

use std::{
    collections::VecDeque,
    error, fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{exchange::Exchange, ledger::Outcome};

/// One step of a body.
#[derive(Debug)]
pub(crate) enum Step {
    /// Wait until this time after the head.
    At(Duration),
    Send(Bytes),
    /// The same, and it is so many tokens of the answer.
    SendTokens(Bytes, u64),
    /// Send this every so often, a number of times or for ever.
    Repeat {
        data: Bytes,
        every: Duration,
        /// The time of the next one, after the head.
        at: Duration,
        left: Option<u32>,
    },
    /// Let everything go out that was sent, then end the connection: in good order, or with a reset.
    Cut {
        resets: bool,
    },
    /// The second half of `Cut`.
    CutNow {
        resets: bool,
    },
    /// Send nothing more, and keep the connection open.
    Hang,
}

/// Closes the connection without the rest of the reply.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulator cut the connection")
    }
}

impl error::Error for Cut {}

pin_project! {
    /// Plays the steps. If it is dropped before their end, its exchange is closed as abandoned, or as broken where a fault was
/// the cause.
    #[derive(Debug)]
    pub(crate) struct ReplyBody {
        steps: VecDeque<Step>,
        // The length that the head announces. `None`: the body is chunked.
        length: Option<u64>,
        started: Instant,
        #[pin]
        sleep: Option<Sleep>,
        // The outcome of the exchange at its end.
        ending: Outcome,
        exchange: Exchange,
    }
}

impl ReplyBody {
    pub(crate) fn new(
        steps: VecDeque<Step>,
        length: Option<u64>,
        ending: Outcome,
        exchange: Exchange,
    ) -> Self {
        let mut body = Self { steps, length, started: Instant::now(), sleep: None, ending, exchange };
        if body.steps.is_empty() {
            body.exchange.end(ending);
        }
        body
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let mut this = self.project();
        loop {
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
                this.sleep.set(None);
            }
            let Some(step) = this.steps.pop_front() else {
                this.exchange.end(*this.ending);
                return Poll::Ready(None);
            };
            let data = match step {
                Step::At(time) => {
                    match this.started.checked_add(time) {
                        // There is nothing to wait for. An answer that is made at once needs no timer for each of its tokens.
                        Some(at) if at <= Instant::now() => {}
                        Some(at) => this.sleep.set(Some(sleep_until(at))),
                        None => this.steps.push_front(Step::Hang),
                    }
                    continue;
                }
                Step::Send(data) => data,
                Step::SendTokens(data, tokens) => {
                    this.exchange.bill_tokens(tokens);
                    data
                }
                Step::Repeat { left: Some(0), .. } => continue,
                Step::Repeat { data, every, at, left } => {
                    let (next, left) = (at.saturating_add(every), left.map(|left| left - 1));
                    this.steps.push_front(Step::Repeat { data: data.clone(), every, at: next, left });
                    this.steps.push_front(Step::Send(data));
                    this.steps.push_front(Step::At(at));
                    continue;
                }
                Step::Cut { resets } => {
                    // hyper flushes when the body is pending, and not when it fails.
                    this.steps.push_front(Step::CutNow { resets });
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::CutNow { resets } => {
                    if resets {
                        this.exchange.reset_connection();
                    }
                    this.exchange.end(Outcome::Broken);
                    return Poll::Ready(Some(Err(Cut)));
                }
                Step::Hang => {
                    // The connection wakes this task when the client leaves. Until then there is nothing to do.
                    this.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
            };
            // If the length was announced, hyper does not poll again after the last byte.
            if this.steps.is_empty() {
                this.exchange.end(*this.ending);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
