mod dialer;
mod dns;
mod egress;
mod eyeballs;
mod network;
mod proxy;
mod stream;
mod tcp;
mod tls;
#[cfg(unix)]
mod unix;

use std::{fmt, io, net::SocketAddr, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::origin::Origin;

#[cfg(unix)]
pub(crate) use self::unix::Unix;
pub(crate) use self::{
    dialer::{DialError, Dialer},
    dns::Dns,
    egress::NotAllowed,
    proxy::{Proxies, ProxyError, Refusal},
    stream::Stream,
    tcp::connect as connect_tcp,
    tls::{Tls, TlsFailure, TlsSettings},
};
pub use self::{
    dns::{Resolve, Resolving, SystemResolver},
    egress::EgressPolicy,
    proxy::Proxy,
};

/// What HTTP runs over: any pair of byte streams, a socket or a pipe in memory.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A dial under way. Dropping it gives the dial up.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Connected>> + Send>>;

/// What a dial brings: a transport, and what is known of where it leads.
///
/// Any [`Transport`] is one, of which nothing is known.
pub struct Connected {
    pub(crate) transport: Stream,
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether `remote_addr` is a proxy's.
    pub(crate) proxied: bool,
}

impl Connected {
    pub(crate) fn tcp(stream: TcpStream, address: SocketAddr) -> Self {
        Self { transport: Stream::Tcp(stream), remote_addr: Some(address), proxied: false }
    }

    /// States the address of the other side: for [`ConnectionInfo`](crate::ConnectionInfo), and for an [`EgressPolicy`],
    /// which believes it.
    pub fn remote_addr(mut self, address: SocketAddr) -> Self {
        self.remote_addr = Some(address);
        self
    }
}

impl<T: Transport + 'static> From<T> for Connected {
    fn from(transport: T) -> Self {
        Self { transport: Stream::Other(Box::new(transport)), remote_addr: None, proxied: false }
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("remote_addr", &self.remote_addr).finish_non_exhaustive()
    }
}

/// Opens transports for a [`Client`](crate::Client).
///
/// It is asked for bytes only: for an `https` origin the client runs TLS over what it gives, and where the client is
/// given a [`Proxy`], it is asked for a connection to that. (It is asked for the origin itself, whatever the environment
/// says of proxies.) All the time it takes
/// counts against [`Limits::connect`](crate::Limits::connect). The dial runs in a task of its own, so that a caller who
/// leaves strands nobody who waits for the same connection.
///
/// A closure over an [`Origin`] that returns a future of a transport, or of a [`Connected`], is one too, which makes a client without a
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
    T: Into<Connected>,
{
    fn connect(&self, origin: &Origin) -> Connecting {
        let dial = self(origin);
        Box::pin(async move { Ok(dial.await?.into()) })
    }
}

/// The ways in which a client connects.
pub(crate) enum Connector {
    /// By name, which the client looks up.
    Tcp,
    /// Any other.
    Other(Box<dyn Connect>),
}
