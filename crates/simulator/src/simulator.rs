//! The handle to a simulated provider.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream, ToSocketAddrs},
    sync::watch,
    time::sleep,
};

use crate::{
    Builder,
    best::{self, Oracle},
    connection,
    ledger::Ledger,
    oracle::{self, Workload},
    provider::Provider,
    transport::Pipe,
};

/// A provider that misbehaves on request.
///
/// A handle: clones are the same provider, with one set of quotas and one ledger. Its tasks end, and its connections
/// close, with [`shutdown`](Self::shutdown) or when the last handle is dropped.
#[derive(Clone)]
pub struct Simulator {
    provider: Arc<Provider>,
    // Every task holds a receiver. So it sees the stop, and the sender can wait for its end.
    stop: Arc<watch::Sender<bool>>,
}

impl Simulator {
    /// Starts with the defaults listed at [`Builder`].
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(provider: Arc<Provider>) -> Self {
        Self { provider, stop: Arc::new(watch::Sender::new(false)) }
    }

    /// Serves TCP at an address, from a spawned task, and returns the address it got: ask for port 0 to have a free
    /// one. May be called for several addresses.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        tokio::spawn(accept(listener, Arc::clone(&self.provider), self.stop.subscribe()));
        Ok(address)
    }

    /// Opens a connection in memory and serves its other end from a spawned task. Each direction holds 64 KiB.
    /// [Trouble](Builder::trouble) that comes later ends it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn connect(&self) -> Pipe {
        let (client, server) = tokio::io::duplex(64 << 10);
        let was_reset = Arc::new(AtomicBool::new(false));
        let pipe =
            self.provider.settings.troubles.pipe(client, Arc::clone(&was_reset), self.provider.started());
        let reset = move |server| {
            was_reset.store(true, Ordering::Relaxed);
            drop(server);
        };
        tokio::spawn(connection::serve(server, Arc::clone(&self.provider), self.stop.subscribe(), reset));
        pipe
    }

    /// As [`connect`](Self::connect), but with the [trouble](Builder::trouble) of this moment. It is made for the connector of a
    /// client.
    ///
    /// # Errors
    ///
    /// Those of the trouble: [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) for a server that is gone,
    /// [`Other`](io::ErrorKind::Other) for a name, [`InvalidData`](io::ErrorKind::InvalidData) for a certificate.
    pub async fn dial(&self) -> io::Result<Pipe> {
        let settings = &self.provider.settings;
        settings.troubles.dial(self.provider.started()).await?;
        if !settings.dial.is_zero() {
            sleep(settings.dial).await;
        }
        Ok(self.connect())
    }

    /// Everything that was seen so far.
    pub fn ledger(&self) -> Ledger {
        let mut state = self.provider.state();
        state.ledger.others = state.quotas.taken_by_others(self.provider.now());
        state.ledger.clone()
    }

    /// Time since it was built, on tokio's clock.
    pub fn elapsed(&self) -> Duration {
        self.provider.now()
    }

    /// A lower bound of the time for a workload: `max((N - b_r) / r, (K - b_k) / k, W / C, longest)`, with N requests
    /// and K tokens against buckets that hold b and refill at r and k (as they are at the start, without later
    /// changes), W of work done `concurrency` at a time (`None`: without limit), and the longest single request. With
    /// several keys or models, the limits are sums over their accounts. Because of the time after the last admission it
    /// often cannot be reached. So compare with [`reference`](Self::reference), and name this bound beside it.
    /// [`Duration::MAX`] if a limit of 0 forbids it.
    pub fn floor(&self, workload: &Workload, concurrency: Option<usize>) -> Duration {
        oracle::floor(&self.provider.untouched, workload, concurrency)
    }

    /// The time in which an ideal client serves the admitted sends of this simulator's ledger, in their order and
    /// `concurrency` at a time (`None`: without limit). An ideal client knows all limits, waits exactly as long as it must,
    /// and loses no moment. This time divided by the time of a run is the run's efficiency. With another order it may be
    /// more than 1.
    pub fn reference(&self, concurrency: Option<usize>) -> Duration {
        oracle::reference(self.provider.untouched.clone(), &self.ledger(), concurrency)
    }

    /// The time of an oracle for the items of this simulator's [plan](Builder::plan), whose requests have these
    /// bodies, `concurrency` at a time. It knows all draws, sends in the order given but retries first, repeats failed
    /// attempts at once, sends nothing in an [outage](Builder::outage), and gives an attempt up after
    /// `attempt_timeout`. It reads prompts in OpenAI's dialect.
    ///
    /// With several keys, it sends each with the first that has room. A body without a mark of the plan, or with a model
    /// that is not served, is left out.
    pub fn oracle(&self, bodies: &[Bytes], concurrency: usize, attempt_timeout: Duration) -> Oracle {
        best::best(&self.provider, bodies, concurrency, attempt_timeout)
    }

    /// Stops listening, closes all connections at once, and waits for all tasks to end. The ledger can still be read. Requests
    /// that were being answered are abandoned in it.
    ///
    /// Dropping this future once it has been polled leaves the tasks to end by themselves.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("settings", &self.provider.settings).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, provider: Arc<Provider>, mut stop: watch::Receiver<bool>) {
    let connections = stop.clone();
    loop {
        tokio::select! {
            biased;
            () = connection::stopped(&mut stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // An answer in small pieces must not wait for acknowledgements.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(connection::serve(stream, Arc::clone(&provider), connections.clone(), reset));
                }
                // Most likely there are no file descriptors left. Some come back when connections end.
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

/// Closes with a reset (RST) in place of an orderly end.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}
