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
    // From when the connection asks for the body, which is once the head is written.
    timer: Option<Pin<Box<Timer>>>,
}

impl Expectation {
    /// Servers that do not know `100-continue` answer nothing; so a client does not wait for long.
    const WAIT: Duration = Duration::from_secs(1);

    /// Ready when the server has said nothing for as long as one waits.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| {
            let mut timer = Box::pin(Timer::new());
            timer.as_mut().set(Instant::now() + Self::WAIT);
            timer
        });
        timer.as_mut().poll_elapsed(cx)
    }
}
