//! One dial from the name look-up to the last handshake, each stage under its limit.

use std::{error::Error as StdError, io, net::SocketAddr, sync::Arc, time::Duration};

use super::{
    Connected, Connector, EgressPolicy, NotAllowed, Proxy, Refusal, Stream, Tls, connect_tcp,
    dns::{Addresses, Dns},
};
use crate::{
    connect_failure::ConnectFailure,
    error::{Delivery, Error, Kind, Phase},
    limits::{DialLimits, Limit},
    origin::Origin,
};

/// How a client opens connections.
pub(crate) struct Dialer {
    pub(crate) connector: Connector,
    pub(crate) dns: Dns,
    pub(crate) egress: EgressPolicy,
    pub(crate) tls: Tls,
    pub(crate) http2_prior_knowledge: bool,
    /// The most fields in the head of an HTTP/1.1 reply. `None`: hyper's 100, which need no allocation.
    pub(crate) max_header_fields: Option<usize>,
    /// The client's own limits. A request with shorter limits stops waiting for a dial, but does not end it.
    pub(crate) limits: DialLimits,
}

impl Dialer {
    /// Runs all stages of a dial: look-up, TCP, proxy, TLS. A connection for an upgrade speaks HTTP/1.1, and uses a
    /// tunnel if there is a proxy.
    pub(crate) async fn dial(
        &self,
        origin: &Origin,
        proxy: Option<&Proxy>,
        for_upgrade: bool,
        limits: DialLimits,
        enter: &(dyn Fn(Limit) + Sync),
    ) -> Result<Reached, DialError> {
        let stages = Stages { dialer: self, origin, proxy, for_upgrade, limits, enter };
        let Connected { transport, remote_addr, proxied } = stages.connect().await?;
        let (stream, http2) = if origin.is_https() {
            let handshake = self.tls.handshake(origin, for_upgrade, transport);
            let stream = stages.stage(Limit::Tls, handshake).await?;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Stream::Tls(Box::new(stream)), http2)
        } else {
            (transport, false)
        };
        let http2 = !for_upgrade && (http2 || self.http2_prior_knowledge);
        Ok(Reached { stream, http2, remote_addr, proxied })
    }

    /// The first stage of a dial.
    pub(crate) fn first_stage(&self, origin: &Origin, proxy: Option<&Proxy>) -> Limit {
        let hop = proxy.map_or(origin, Proxy::server);
        let asks_own = matches!(self.connector, Connector::Other(_)) || hop.address().is_some();
        let asks_for_proxy =
            proxy.is_some_and(|proxy| self.looks_up_for(proxy)) && origin.address().is_none();
        if asks_own && !asks_for_proxy { Limit::Connect } else { Limit::Dns }
    }

    /// Whether requests to an origin are sent to the proxy itself, without a tunnel.
    pub(crate) fn forwards(&self, origin: &Origin, proxy: &Proxy) -> bool {
        // A proxy that receives whole URLs looks up the host itself, so the policy could not check the address.
        proxy.forwards(origin, self.http2_prior_knowledge) && !self.egress.looks_at_addresses()
    }

    /// Whether the client looks up the name and asks the proxy for an address.
    fn looks_up_for(&self, proxy: &Proxy) -> bool {
        proxy.looks_up_here() || self.egress.looks_at_addresses()
    }
}

/// The result of a dial.
pub(crate) struct Reached {
    pub(crate) stream: Stream,
    pub(crate) http2: bool,
    pub(crate) remote_addr: Option<SocketAddr>,
    pub(crate) proxied: bool,
}

/// Why a dial failed. All requests that waited for the dial share it.
#[derive(Clone)]
pub(crate) enum DialError {
    ClientClosed,
    Timeout(Limit, Duration),
    Failed(Limit, Arc<dyn StdError + Send + Sync>),
}

impl DialError {
    pub(crate) fn new(stage: Limit, error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Failed(stage, Arc::new(error))
    }

    pub(crate) fn into_error(self, origin: &Origin) -> Error {
        match self {
            Self::ClientClosed => Error::new(Kind::ClientClosed, Phase::PoolWait, Delivery::NotSent),
            Self::Timeout(stage, limit) => Error::timeout(stage, limit, stage.phase()),
            Self::Failed(stage, source) => {
                let kind = if stage == Limit::Tls { Kind::Tls } else { Kind::Connect };
                let why = ConnectFailure::of(stage, &*source);
                Error::new(kind, stage.phase(), Delivery::NotSent)
                    .failed_to_connect(why)
                    .shared_source(source)
            }
        }
        .at(origin)
    }
}

/// One dial that is under way.
struct Stages<'a> {
    dialer: &'a Dialer,
    origin: &'a Origin,
    proxy: Option<&'a Proxy>,
    for_upgrade: bool,
    limits: DialLimits,
    /// Called with each stage when it begins.
    enter: &'a (dyn Fn(Limit) + Sync),
}

impl Stages<'_> {
    /// A transport to the origin, or to the proxy that takes its requests.
    async fn connect(&self) -> Result<Connected, DialError> {
        self.dialer.egress.permit(self.origin, self.proxy).map_err(refused)?;
        let hop = self.proxy.map_or(self.origin, Proxy::server);
        let found = match &self.dialer.connector {
            Connector::Other(_) => Addresses::default(),
            Connector::Tcp => self.look_up(hop).await?,
        };
        let Some(proxy) = self.proxy else {
            let usable = self.dialer.egress.usable(hop, &found).map_err(refused)?;
            let connected = self.stage(Limit::Connect, self.reach(hop, &found, &usable)).await?;
            self.dialer.egress.permit_connected(connected.remote_addr).map_err(refused)?;
            return Ok(connected);
        };
        let target = if self.dialer.looks_up_for(proxy) {
            let found = self.look_up(self.origin).await?;
            let usable = self.dialer.egress.usable(self.origin, &found).map_err(refused)?;
            // The proxy gets one address. It is more likely to reach an IPv4 address.
            usable.iter().find(|address| address.is_ipv4()).or(usable.first()).copied()
        } else {
            None
        };
        // The proxy itself is allowed by name, whatever its address is.
        let through = async { self.go_through(proxy, self.reach(hop, &found, &found).await, target).await };
        self.stage(Limit::Connect, through).await
    }

    /// The addresses of a host. A host that is an address is not looked up.
    async fn look_up(&self, origin: &Origin) -> Result<Addresses, DialError> {
        if let Some(address) = origin.address() {
            return Ok(Addresses::from([address]));
        }
        let look_up = async {
            let found = self.dialer.dns.look_up(origin).await;
            match self.proxy.filter(|proxy| proxy.server() == origin) {
                None => found,
                Some(proxy) => found.map_err(|error| proxy.error(Refusal::Connection(error))),
            }
        };
        self.stage(Limit::Dns, look_up).await
    }

    /// A transport to the first hop: at one of its addresses, or through the connector.
    async fn reach(&self, hop: &Origin, found: &Addresses, usable: &Addresses) -> io::Result<Connected> {
        match &self.dialer.connector {
            Connector::Other(connector) => connector.connect(hop).await,
            Connector::Tcp => {
                let connected = connect_tcp(usable).await;
                let (stream, address) = connected.inspect_err(|_| self.dialer.dns.forget(hop, found))?;
                Ok(Connected::tcp(stream, address))
            }
        }
    }

    /// TLS with the proxy if the proxy's URL says so, and a tunnel if the origin needs one.
    async fn go_through(
        &self,
        proxy: &Proxy,
        reached: io::Result<Connected>,
        target: Option<SocketAddr>,
    ) -> io::Result<Connected> {
        let mut connected = reached.map_err(|error| proxy.error(Refusal::Connection(error)))?;
        connected.proxied = true;
        if proxy.server().is_https() {
            let stream = self.dialer.tls.handshake_with_proxy(proxy.server(), connected.transport).await;
            let stream = stream.map_err(|error| proxy.error(Refusal::Tls(error)))?;
            connected.transport = Stream::Tls(Box::new(stream));
        }
        if self.for_upgrade || !self.dialer.forwards(self.origin, proxy) {
            proxy.open_tunnel(&mut connected.transport, self.origin, target).await?;
        }
        Ok(connected)
    }

    /// Runs one stage under its limit.
    async fn stage<T>(
        &self,
        stage: Limit,
        work: impl Future<Output = io::Result<T>>,
    ) -> Result<T, DialError> {
        (self.enter)(stage);
        let Some(limit) = self.limits.get(stage) else {
            return work.await.map_err(|error| DialError::new(stage, error));
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result.map_err(|error| DialError::new(stage, error)),
            Err(_) => Err(DialError::Timeout(stage, limit)),
        }
    }
}

fn refused(error: NotAllowed) -> DialError {
    DialError::new(Limit::Connect, error)
}
