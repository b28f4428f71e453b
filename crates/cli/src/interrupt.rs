//! Ctrl-C: once to finish what is under way, twice to stop at once.

use tokio::sync::watch;

/// How often the process has been asked to end.
#[derive(Clone)]
pub(crate) struct Interrupt(watch::Receiver<u32>);

impl Interrupt {
    /// Takes over SIGINT and, where there is one, SIGTERM.
    pub(crate) fn listen() -> Self {
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            // No signals to be had: whoever waits for one waits for ever.
            let Ok(mut signals) = Signals::new() else { return sender.closed().await };
            loop {
                signals.next().await;
                sender.send_modify(|times| *times += 1);
            }
        });
        Self(receiver)
    }

    /// Whether it was asked at all.
    pub(crate) fn asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Returns when it has been asked so many times.
    pub(crate) async fn times(mut self, times: u32) {
        if self.0.wait_for(|asked| *asked >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
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
