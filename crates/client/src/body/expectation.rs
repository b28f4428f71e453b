//! `Expect: 100-continue`: a body that is held back until the server asks for it, or for one second at most.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use outbound_timer::Timer;
use tokio::time::Instant;

/// A body that waits for the server to ask for it (RFC 9110, section 10.1.1).
#[derive(Default)]
pub(super) struct Expectation {
    // It starts when the connection first asks for the body. That is after the head was written.
    timer: Option<Pin<Box<Timer>>>,
}

impl Expectation {
    /// A server that does not know `100-continue` sends no interim reply, so the client does not wait long.
    const WAIT: Duration = Duration::from_secs(1);

    /// Ready when the server has not answered within that time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| {
            let mut timer = Box::pin(Timer::new());
            timer.as_mut().set(Instant::now() + Self::WAIT);
            timer
        });
        timer.as_mut().poll_elapsed(cx)
    }
}
