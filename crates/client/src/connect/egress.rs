//! The egress policy: which hosts, ports and addresses a client may connect to.

mod address;

#[cfg(test)]
mod tests;

use std::{error::Error as StdError, fmt, net::SocketAddr};

use ipnet::IpNet;

use self::address::{embedded, is_public};
use super::{Proxy, dns::Addresses, network::network};
use crate::{
    error::{Error, Kind},
    origin::Origin,
};

/// Where a client may connect to. For programs whose URLs come from others, such as the tools of an agent, or web
/// hooks.
///
/// The policy is checked before a dial, with scheme, host and port, and again after the look-up, with each address.
/// The client connects to exactly the address that was allowed. The policy is checked for every connection, so it
/// holds for every redirect as well.
///
/// | rule | default |
/// |---|---|
/// | [`https_only`](Self::https_only) | no |
/// | [`allow_hosts`](Self::allow_hosts), [`deny_hosts`](Self::deny_hosts) | all, none |
/// | [`allow_ports`](Self::allow_ports), [`deny_ports`](Self::deny_ports) | all, none |
/// | [`allow_networks`](Self::allow_networks), [`deny_networks`](Self::deny_networks) | all, none |
/// | [`allow_proxy`](Self::allow_proxy) | none, where there is a rule on addresses |
///
/// A denial counts more than a permission. All rules have to be met: an allowed host in a network that is not allowed
/// is not reached.
///
/// [`public_only`](Self::public_only) and the rules about networks are *address rules*. With one of them:
///
/// - A host that is an address in an unusual form (`2130706433`, `0x7f.1`, `127.1`) is refused.
/// - An IPv6 address that contains an IPv4 address (mapped, translated or of a tunnel: NAT64, 6to4, ISATAP) must be
///   allowed as both.
/// - A [`Proxy`], also one from the environment, is refused unless its name is allowed. With an allowed proxy, the
///   client looks up names itself and asks the proxy for a tunnel to an allowed address, also for `http` origins.
/// - A [`Connect`](crate::Connect) must state the address that it is connected to
///   ([`Connected::remote_addr`](crate::Connected::remote_addr)). If not, its connection is closed unused. A unix
///   socket has no address.
///
/// A refusal is an error with [`ConnectFailure::NotAllowed`](crate::ConnectFailure::NotAllowed). Nothing was sent.
///
/// ```
/// use outbound_client::{Client, EgressPolicy};
///
/// # fn main() -> Result<(), outbound_client::Error> {
/// let policy = EgressPolicy::public_only().https_only().allow_ports([443]).deny_hosts(["*.internal.example"]);
/// let client = Client::builder().egress(policy).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a policy does nothing until a client is built with it"]
pub struct EgressPolicy {
    https_only: bool,
    hosts: Lists<Host>,
    ports: Lists<u16>,
    public_only: bool,
    networks: Lists<IpNet>,
    proxies: Vec<Box<str>>,
    /// The first rule that is not valid.
    invalid: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Lists<T> {
    /// Empty: everything is allowed.
    allowed: Vec<T>,
    denied: Vec<T>,
}

#[derive(Clone, Debug)]
enum Host {
    Name(Box<str>),
    /// All names below a domain; the text begins with a dot.
    Below(Box<str>),
}

impl EgressPolicy {
    /// Everything is allowed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only addresses of the public internet, and those of [`allow_networks`](Self::allow_networks).
    ///
    /// Refused are private addresses (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, `fc00::/7`), loopback, link-local
    /// (169.254.0.0/16, `fe80::/10`), shared addresses of carriers (100.64.0.0/10), the metadata services of clouds
    /// (169.254.169.254, `fd00:ec2::254`, 168.63.129.16), multicast, and all others that IANA's registries of
    /// special-purpose addresses do not call globally reachable (RFC 6890).
    pub fn public_only() -> Self {
        Self { public_only: true, ..Self::default() }
    }

    /// Refuses `http`.
    pub fn https_only(mut self) -> Self {
        self.https_only = true;
        self
    }

    /// Allows only these hosts, and those of other calls of this method. `a.test` is that name alone, `*.a.test` is
    /// every name below it.
    pub fn allow_hosts<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        for host in hosts {
            let host = self.host(host);
            self.hosts.allowed.extend(host);
        }
        self
    }

    /// Denies these hosts: `a.test` is that name alone, `*.a.test` is every name below it. To deny an address,
    /// whatever name leads to it, deny its [network](Self::deny_networks).
    pub fn deny_hosts<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        for host in hosts {
            if let Some(address) = network(host) {
                self.networks.denied.push(address);
            } else {
                let host = self.host(host);
                self.hosts.denied.extend(host);
            }
        }
        self
    }

    /// Allows only these ports, and those of other calls of this method.
    pub fn allow_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports.allowed.extend(ports);
        self
    }

    /// Denies these ports.
    pub fn deny_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports.denied.extend(ports);
        self
    }

    /// Allows only addresses of these networks (`10.1.0.0/16`, `fd00::/8`, `192.0.2.7`), and those of other calls of
    /// this method. With [`public_only`](Self::public_only), it allows them in addition to the public addresses.
    pub fn allow_networks<'a>(mut self, networks: impl IntoIterator<Item = &'a str>) -> Self {
        for network in networks {
            let network = self.network(network);
            self.networks.allowed.extend(network);
        }
        self
    }

    /// Denies addresses of these networks.
    pub fn deny_networks<'a>(mut self, networks: impl IntoIterator<Item = &'a str>) -> Self {
        for network in networks {
            let network = self.network(network);
            self.networks.denied.extend(network);
        }
        self
    }

    /// Allows the proxies on this host, at any address. Such a proxy is trusted to connect only to where it is asked
    /// to.
    pub fn allow_proxy(mut self, host: &str) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.proxies.push(host.to_ascii_lowercase().into());
        self
    }

    /// The error, if a rule is not valid.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.invalid.map_or(Ok(()), |why| Err(Error::invalid(Kind::Config, why)))
    }

    /// Whether the policy has an address rule.
    pub(crate) fn looks_at_addresses(&self) -> bool {
        self.public_only || !self.networks.is_empty()
    }

    /// Whether a client may connect to an origin, through this proxy or directly, as far as this is known before the
    /// look-up.
    pub(crate) fn permit(&self, origin: &Origin, proxy: Option<&Proxy>) -> Result<(), NotAllowed> {
        let refuse = |what: String| Err(NotAllowed(what));
        if self.https_only && !origin.is_https() {
            return refuse("http".to_owned());
        }
        if !self.ports.permit(|port| *port == origin.port()) {
            return refuse(format!("the port {}", origin.port()));
        }
        let host = without_dot(origin.host());
        if !self.hosts.permit(|pattern| pattern.covers(host)) {
            return refuse(format!("the host {host}"));
        }
        if self.looks_at_addresses() {
            if origin.address().is_none() && looks_like_address(host) {
                return refuse(format!("the host {host}, which is an address in an unusual form"));
            }
            let is_allowed = |proxy: &Proxy| self.proxies.iter().any(|host| **host == *proxy.server().host());
            if let Some(proxy) = proxy.filter(|proxy| !is_allowed(proxy)) {
                return refuse(format!("the proxy {proxy}"));
            }
        }
        Ok(())
    }

    /// Those addresses of an origin that the client may connect to.
    pub(crate) fn usable(&self, origin: &Origin, found: &Addresses) -> Result<Addresses, NotAllowed> {
        if found.iter().all(|address| self.permits(*address)) {
            return Ok(found.clone());
        }
        let usable: Addresses = found.iter().copied().filter(|address| self.permits(*address)).collect();
        match found.first() {
            Some(address) if usable.is_empty() => {
                let ip = address.ip();
                let of =
                    if origin.address().is_some() { String::new() } else { format!(" of {}", origin.host()) };
                Err(NotAllowed(format!("the address {ip}{of}")))
            }
            _ => Ok(usable),
        }
    }

    /// Whether a connection from a connector may be used.
    pub(crate) fn permit_connected(&self, address: Option<SocketAddr>) -> Result<(), NotAllowed> {
        match address {
            _ if !self.looks_at_addresses() => Ok(()),
            None => Err(NotAllowed("a connection whose address the connector does not state".to_owned())),
            Some(address) if self.permits(address) => Ok(()),
            Some(address) => Err(NotAllowed(format!("the address {}", address.ip()))),
        }
    }

    fn permits(&self, address: SocketAddr) -> bool {
        if !self.looks_at_addresses() {
            return true;
        }
        let ip = address.ip().to_canonical();
        let permits = |ip| {
            let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&ip));
            let by_default = if self.public_only { is_public(ip) } else { self.networks.allowed.is_empty() };
            !is_in(&self.networks.denied) && (is_in(&self.networks.allowed) || by_default)
        };
        permits(ip) && embedded(ip).is_none_or(|ip| permits(ip.into()))
    }

    fn host(&mut self, text: &str) -> Option<Host> {
        let text = without_dot(text).to_ascii_lowercase();
        let (name, host) = match text.strip_prefix('*') {
            Some(below) => (below.strip_prefix('.').unwrap_or_default(), Host::Below(below.into())),
            None => (&*text, Host::Name(text.trim_start_matches('[').trim_end_matches(']').into())),
        };
        if name.is_empty() || name.contains(['*', '/', ' ']) {
            self.invalid.get_or_insert("a host of the egress policy is neither a name nor `*.` and a name");
            return None;
        }
        Some(host)
    }

    fn network(&mut self, text: &str) -> Option<IpNet> {
        let network = network(text);
        if network.is_none() {
            self.invalid
                .get_or_insert("a network of the egress policy is neither an address nor one with a length");
        }
        network
    }
}

impl<T> Lists<T> {
    fn permit(&self, mut is: impl FnMut(&T) -> bool) -> bool {
        !self.denied.iter().any(&mut is) && (self.allowed.is_empty() || self.allowed.iter().any(is))
    }

    fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.denied.is_empty()
    }
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { allowed: Vec::new(), denied: Vec::new() }
    }
}

impl Host {
    fn covers(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => **name == *host,
            Self::Below(below) => host.ends_with(&**below),
        }
    }
}

fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether the last part of a host is a number. Resolvers take such a host for an address (WHATWG URL, section 3.5,
/// "ends in a number").
fn looks_like_address(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x");
    (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
        || hex.is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Names what the policy does not allow.
#[derive(Debug)]
pub(crate) struct NotAllowed(String);

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the egress policy does not allow {}", self.0)
    }
}

impl StdError for NotAllowed {}
