//! Ctrl-C: once to finish what is under way, twice to stop at once.

use tokio::sync::watch;

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
            }
        });
        Self(asked)
    }

    /// Asks as the first signal does; however often, it never counts as the second.
    #[cfg(unix)]
    pub(crate) fn ask(&self) {
        self.0.send_modify(|times| *times = (*times).max(1));
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
