use std::{fmt, io, pin::Pin, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::origin::Origin;

/// What HTTP runs over: any pair of byte streams, a socket or a pipe in memory.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A dial under way. Dropping it gives the dial up.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Transport>>> + Send>>;

/// Opens transports for a [`Client`](crate::Client).
///
/// It is asked for bytes only: for an `https` origin the client runs TLS over what it gives. The time it takes counts
/// against [`Limits::connect`](crate::Limits::connect). The dial runs in a task of its own, so that a caller who
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

/// The system's resolver and TCP, each address in turn.
pub(crate) struct Tcp;

impl Tcp {
    // Below the shortest silence after which common NATs forget a connection (120 s).
    const PROBE_AFTER: Duration = Duration::from_secs(60);
    const PROBE_EVERY: Duration = Duration::from_secs(15);
}

impl Connect for Tcp {
    fn connect(&self, origin: &Origin) -> Connecting {
        let origin = origin.clone();
        Box::pin(async move {
            let stream = TcpStream::connect((origin.host(), origin.port())).await?;
            stream.set_nodelay(true)?;
            let keepalive = TcpKeepalive::new().with_time(Self::PROBE_AFTER).with_interval(Self::PROBE_EVERY);
            SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
            Ok(Box::new(stream) as Box<dyn Transport>)
        })
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tcp")
    }
}
