mod eyeballs;
mod tcp;
#[cfg(unix)]
mod unix;

use std::{io, pin::Pin};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::origin::Origin;

pub(crate) use self::tcp::Tcp;
#[cfg(unix)]
pub(crate) use self::unix::Unix;

/// What HTTP runs over: any pair of byte streams, a socket or a pipe in memory.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A dial under way. Dropping it gives the dial up.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Transport>>> + Send>>;

/// Opens transports for a [`Client`](crate::Client).
///
/// It is asked for bytes only: for an `https` origin the client runs TLS over what it gives. All the time it takes
/// counts against [`Limits::connect`](crate::Limits::connect). The dial runs in a task of its own, so that a caller who
/// leaves strands nobody who waits for the same connection.
///
/// A closure over an [`Origin`] that returns a future of a transport is one too, which makes a client without a
/// network, and with it a test under tokio's paused clock:
///
/// ```
/// use std::time::Duration;
/// use outbound_client::{Client, Limit, Limits, Origin};
/// use tokio::io::AsyncReadExt;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), outbound_client::Error> {
/// let client = Client::builder()
///     .connector(|_: &Origin| async {
///         let (near, mut far) = tokio::io::duplex(4096);
///         // A server that takes everything and never answers.
///         tokio::spawn(async move { far.read_to_end(&mut Vec::new()).await });
///         Ok(near)
///     })
///     .limits(Limits::new().first_byte(Duration::from_secs(60)))
///     .build()?;
/// let error = client.get("http://silent.test/").send().await.unwrap_err();
/// assert_eq!(error.limit(), Some((Limit::FirstByte, Duration::from_secs(60))));
/// # Ok(())
/// # }
/// ```
pub trait Connect: Send + Sync + 'static {
    /// Starts a dial.
    fn connect(&self, origin: &Origin) -> Connecting;
}

impl<F, Fut, T> Connect for F
where
    F: Fn(&Origin) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<T>> + Send + 'static,
    T: Transport + 'static,
{
    fn connect(&self, origin: &Origin) -> Connecting {
        let dial = self(origin);
        Box::pin(async move { Ok(Box::new(dial.await?) as Box<dyn Transport>) })
    }
}

/// The ways in which a client connects.
pub(crate) enum Connector {
    /// By name, which the client can take apart.
    Tcp(Tcp),
    /// Any other.
    Other(Box<dyn Connect>),
}

impl Connector {
    /// Forgets where names led to.
    pub(crate) fn forget(&self) {
        if let Self::Tcp(tcp) = self {
            tcp.dns.forget_all();
        }
    }

    /// Whether a name has to be looked up first.
    pub(crate) fn looks_up(&self, origin: &Origin) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.literal(origin).is_none(),
            Self::Other(_) => false,
        }
    }
}
