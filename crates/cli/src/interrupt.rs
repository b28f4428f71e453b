//! Ctrl-C: once to finish the requests in flight, twice to stop at once.

use std::time::Duration;

use tokio::sync::watch;

use crate::{
    exit::{INTERRUPTED, Stop},
    say,
};

/// How long the process may still live after the second interrupt. A reader that has stopped, a pipe that nobody opens or a
/// file system that hangs can block it, so that it cannot end by itself.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How often the process has been asked to end.
#[derive(Clone)]
pub(crate) struct Interrupt(watch::Sender<u32>);

impl Interrupt {
    /// Takes over SIGINT and, where there is one, SIGTERM.
    pub(crate) fn listen() -> Self {
        let asked = watch::Sender::new(0);
        let heard = asked.clone();
        tokio::spawn(async move {
            // Without signals nothing ever interrupts.
            let Ok(mut signals) = Signals::new() else { return };
            loop {
                signals.next().await;
                heard.send_modify(|times| *times += 1);
                if *heard.borrow() == 2 {
                    tokio::spawn(end());
                }
            }
        });
        Self(asked)
    }

    /// Has the effect of the first signal. Calling it again has no effect: it never counts as the second signal.
    pub(crate) fn ask(&self) {
        self.0.send_modify(|times| *times = (*times).max(1));
    }

    /// Does work that comes before the first request. One interrupt ends it, since nothing of it has to be kept.
    pub(crate) async fn ends<T>(&self, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        tokio::select! {
            done = work => done,
            () = self.clone().times(1) => Err(Stop::Interrupted),
        }
    }

    /// Whether the process was asked to end.
    pub(crate) fn asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Returns when the process has been asked to end this many times.
    pub(crate) async fn times(self, times: u32) {
        // It cannot fail: the sender is `self`.
        let _ = self.0.subscribe().wait_for(|asked| *asked >= times).await;
    }
}

/// Ends the process if it does not end by itself. The next run repairs an output whose last line is cut.
async fn end() {
    tokio::time::sleep(AT_ONCE).await;
    say::line(
        "outbound: the run did not end by itself within 2 s, so it is ended now; the last answers may not be written",
    );
    say::flush();
    std::process::exit(i32::from(INTERRUPTED));
}

/// The signals are registered once, so that none is lost between two waits.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
