//! Opening connections: the traits that a program may implement, and the connectors that the client has.

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

/// A dial that is under way. Dropping it cancels the dial.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Connected>> + Send>>;

/// What a dial returns: a transport, and what is known about its other end.
///
/// Any [`Transport`] is also a `Connected`, about which nothing is known.
pub struct Connected {
    pub(crate) transport: Stream,
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether `remote_addr` is the address of a proxy.
    pub(crate) proxied: bool,
}

impl Connected {
    pub(crate) fn tcp(stream: TcpStream, address: SocketAddr) -> Self {
        Self { transport: Stream::Tcp(stream), remote_addr: Some(address), proxied: false }
    }

    /// Sets the address of the other end. [`ConnectionInfo`](crate::ConnectionInfo) shows it, and an
    /// [`EgressPolicy`](crate::EgressPolicy) checks it and trusts that it is true.
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
/// It only supplies bytes. For an `https` origin the client runs TLS over its transport. If the client is given a
/// [`Proxy`], the connector is asked for a connection to the proxy. (The proxies of the environment are not used with
/// a connector.) All the time that it takes counts against [`Limits::connect`](crate::Limits::connect). The dial runs
/// in a task of its own: a caller that gives up does not stop a dial that other requests wait for.
///
/// A closure from an [`Origin`] to a future of a transport, or of a [`Connected`], is a connector too. With one, a
/// client needs no network, and can be tested under tokio's paused clock:
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

/// How a client connects.
pub(crate) enum Connector {
    /// TCP, to the addresses that the client looks up.
    Tcp,
    /// A connector of the caller, or a unix socket.
    Other(Box<dyn Connect>),
}
