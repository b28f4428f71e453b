//! Ctrl-C: once to finish what is under way, twice to stop at once.

use std::time::Duration;

use tokio::sync::watch;

use crate::{
    exit::{INTERRUPTED, Stop},
    say,
};

/// So long may a process go on that was asked to end at once. It may be held by a reader who has stopped, by a pipe that
/// nobody opens or by a file system that hangs, and none of these lets it look at anything else.
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
            // No signals to be had: whoever waits for one waits for ever.
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

    /// Asks as the first signal does; however often, it never counts as the second.
    #[cfg(unix)]
    pub(crate) fn ask(&self) {
        self.0.send_modify(|times| *times = (*times).max(1));
    }

    /// Does what comes before the first request, of which nothing is kept: one interrupt ends it.
    pub(crate) async fn ends<T>(&self, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        tokio::select! {
            done = work => done,
            () = self.clone().times(1) => Err(Stop::Interrupted),
        }
    }

    /// Whether it was asked at all.
    pub(crate) fn asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Returns when it has been asked so many times.
    pub(crate) async fn times(self, times: u32) {
        // It cannot fail: the sender is `self`.
        let _ = self.0.subscribe().wait_for(|asked| *asked >= times).await;
    }
}

/// Ends the process, if it does not end by itself. What is in the output stands there whole, or is mended by the next run.
async fn end() {
    tokio::time::sleep(AT_ONCE).await;
    say::line(
        "outbound: something does not end, so that it is left; answers that came last may not be written",
    );
    say::flush();
    std::process::exit(i32::from(INTERRUPTED));
}

/// Registered once, so that none is lost between two.
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
