//! Proxies: where a proxy is, how the client speaks to it, and what can go wrong on the way.

mod exceptions;
mod proxies;
#[cfg(feature = "socks")]
mod socks;
mod tunnel;

#[cfg(test)]
mod tests;

use std::{cmp::Ordering, convert::Infallible, fmt, io, net::SocketAddr, sync::Arc};

use http::HeaderValue;

use self::exceptions::Exceptions;
pub(crate) use self::proxies::Proxies;
use super::Transport;
use crate::{
    connect_failure::ConnectFailure,
    error::{Error, Kind},
    origin::Origin,
    secret::Secret,
};

/// A server that opens connections for the client: its address, its protocol, and the credentials for it.
///
/// | URL | to an `http` origin | to an `https` origin |
/// |---|---|---|
/// | `http://proxy:3128` | requests that carry the whole URL (RFC 9112, section 3.2.2) | a tunnel by `CONNECT` (RFC 9110, section 9.3.6) |
/// | `https://proxy:443` | the same, inside TLS with the proxy | the same: TLS inside TLS |
/// | `socks5://proxy:1080` | SOCKS 5 (RFC 1928) to the address of the origin's name, which is looked up here | the same |
/// | `socks5h://proxy:1080` | SOCKS 5 to the origin's name, which the proxy looks up | the same |
///
/// A URL without a scheme counts as `http`; without a port, the port is the scheme's: 80, 443, 1080. SOCKS needs the
/// feature `socks`. The URL may contain a user and a password, percent-encoded. They are sent to the proxy only, and
/// no `Debug`, `Display` or error shows them.
///
/// ```
/// use outbound_client::{Client, Proxy};
///
/// # fn main() -> Result<(), outbound_client::Error> {
/// let proxy = Proxy::new("http://proxy.example:3128")?.basic_auth("user", "password")?;
/// let proxy = proxy.except("localhost, 10.0.0.0/8, .internal.example");
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
/// let client = Client::builder().proxy(proxy).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Proxy(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    /// The address that is dialled. Its scheme says whether the client speaks TLS with the proxy.
    server: Origin,
    protocol: Protocol,
    user: Option<User>,
    except: Exceptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Http,
    /// The client looks up the origin's name.
    Socks5,
    /// The proxy looks up the origin's name.
    Socks5h,
}

#[derive(Clone)]
struct User {
    name: Box<str>,
    password: Secret,
}

impl Proxy {
    /// The proxy at a URL.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: a scheme other than `http`, `https`, `socks5` and `socks5h`; a host or a port that is not valid;
    /// a SOCKS proxy without the feature `socks`.
    pub fn new(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (protocol, tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Protocol::Http, false, ""),
            "https" => (Protocol::Http, true, ""),
            "socks5" => (Protocol::Socks5, false, ":1080"),
            "socks5h" => (Protocol::Socks5h, false, ":1080"),
            _ => return Err(invalid("the proxy's scheme is not http, https, socks5 or socks5h")),
        };
        if protocol != Protocol::Http && !cfg!(feature = "socks") {
            return Err(invalid("a SOCKS proxy needs the feature `socks` of outbound-client"));
        }
        let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Without this check, the user would be dialled as a host, and a part of the password would be shown as its
        // port.
        if behind.contains('@') {
            return Err(invalid("in a proxy's user and password, `/`, `?` and `#` must be percent-encoded"));
        }
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, authority),
        };
        // Searched after the brackets of an IPv6 address.
        let has_port = server.rsplit(']').next().unwrap_or_default().contains(':');
        let scheme = if tls { "https" } else { "http" };
        let server = format!("{scheme}://{server}{}/", if has_port { "" } else { port });
        let server = server.parse().map_err(|_| invalid("the proxy's host or port is not valid"))?;
        let server = Origin::of(&server).map_err(|_| invalid("the proxy's host or port is not valid"))?;
        let proxy = Self(Arc::new(Parts { server, protocol, user: None, except: Exceptions::default() }));
        let Some(user) = user else { return Ok(proxy) };
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        proxy.basic_auth(&decoded(name)?, decoded(password)?)
    }

    /// The credentials: `Proxy-Authorization: Basic` (RFC 7617), or a user and password of SOCKS (RFC 1929).
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: a user with a colon, which `Basic` cannot carry; with SOCKS, a user or password that is
    /// empty or longer than 255 bytes.
    pub fn basic_auth(mut self, user: &str, password: impl Into<Secret>) -> Result<Self, Error> {
        let password = password.into();
        Secret::basic(user, &password)?;
        let is_short = |text: &str| (1..=255).contains(&text.len());
        if self.is_socks() && !(is_short(user) && is_short(password.expose())) {
            return Err(invalid("a SOCKS proxy's user and password must have 1 to 255 bytes each"));
        }
        Arc::make_mut(&mut self.0).user = Some(User { name: user.into(), password });
        Ok(self)
    }

    /// The hosts that a client reaches without this proxy, as a list like `NO_PROXY`. It replaces an earlier list.
    ///
    /// Entries are separated by commas or spaces. An entry is a name, which includes all names below it (`.name` and
    /// `*.name` mean the same), an address, or a network (`10.0.0.0/8`, `fd00::/8`); each may have a port. `*` is
    /// every host.
    pub fn except(mut self, list: &str) -> Self {
        Arc::make_mut(&mut self.0).except = Exceptions::parse(list);
        self
    }

    pub(crate) fn server(&self) -> &Origin {
        &self.0.server
    }

    fn exceptions(&self) -> &Exceptions {
        &self.0.except
    }

    fn is_socks(&self) -> bool {
        self.0.protocol != Protocol::Http
    }

    /// Whether the client looks up names and asks the proxy for an address.
    pub(crate) fn looks_up_here(&self) -> bool {
        self.0.protocol == Protocol::Socks5
    }

    /// Whether requests to an origin are sent to the proxy itself, each with its whole URL, and not through a tunnel.
    pub(crate) fn forwards(&self, origin: &Origin, http2: bool) -> bool {
        // HTTP/2 without TLS runs between client and origin, in a tunnel. Otherwise the proxy would have to speak it
        // as well.
        !self.is_socks() && !origin.is_https() && !http2
    }

    /// The credentials header of a request that is sent to the proxy itself.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let user = self.0.user.as_ref()?;
        Secret::basic(&user.name, &user.password).ok()
    }

    /// Asks the proxy for a connection to an origin, over a transport to the proxy. With an `address`, for that
    /// address.
    pub(crate) async fn open_tunnel(
        &self,
        transport: &mut dyn Transport,
        origin: &Origin,
        address: Option<SocketAddr>,
    ) -> io::Result<()> {
        #[cfg(feature = "socks")]
        if self.is_socks() {
            let name = socks::Target::Name(origin.host(), origin.port());
            let target = address.map_or(name, socks::Target::Address);
            let opened = socks::open(transport, self.0.user.as_ref(), target).await;
            return opened.map_err(|refusal| self.error(refusal));
        }
        let target = address.map_or_else(|| origin.host_and_port(), |address| address.to_string());
        let opened = tunnel::open(transport, &target, self.authorization()).await;
        opened.map_err(|refusal| self.error(refusal))
    }

    /// The error for a failure in one of the proxy's stages.
    pub(crate) fn error(&self, refusal: Refusal) -> io::Error {
        io::Error::new(refusal.kind(), ProxyError { proxy: self.to_string(), refusal })
    }

    fn key(&self) -> (&Origin, Protocol, Option<(&str, &str)>) {
        let user = self.0.user.as_ref().map(|user| (&*user.name, user.password.expose()));
        (&self.0.server, self.0.protocol, user)
    }
}

/// A proxy from its URL.
impl TryFrom<&str> for Proxy {
    type Error = Error;

    fn try_from(url: &str) -> Result<Self, Error> {
        Self::new(url)
    }
}

/// A proxy from its URL.
impl TryFrom<String> for Proxy {
    type Error = Error;

    fn try_from(url: String) -> Result<Self, Error> {
        Self::new(&url)
    }
}

/// Allows functions that accept anything that can become a [`Proxy`] to accept a [`Proxy`] too.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Two proxies are equal if they can share connections: same server, protocol, user and password.
impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.key() == other.key()
    }
}

impl Eq for Proxy {}

impl PartialOrd for Proxy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Proxy {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// `scheme://host:port`, without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.0.protocol {
            Protocol::Http => return self.0.server.fmt(f),
            Protocol::Socks5 => "socks5",
            Protocol::Socks5h => "socks5h",
        };
        write!(f, "{scheme}://{}", self.0.server.host_and_port())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// What went wrong between the client and a proxy.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No connection to the proxy, or it was cut.
    Connection(io::Error),
    /// The TLS handshake with the proxy failed.
    Tls(io::Error),
    /// The status with which it answered `CONNECT`.
    Status(http::StatusCode),
    /// The reply code with which it answered a SOCKS request (RFC 1928, section 6).
    #[cfg(feature = "socks")]
    Socks(u8),
    /// It does not accept the user, or it requires one.
    #[cfg(feature = "socks")]
    User,
    /// It does not speak the protocol, or the protocol cannot express the request.
    Protocol(&'static str),
}

impl Refusal {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Connection(error) | Self::Tls(error) => error.kind(),
            Self::Protocol(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        }
    }

    /// What this means for a connection through the proxy. `None` if the source of the error says it.
    fn failure(&self) -> Option<ConnectFailure> {
        Some(match self {
            Self::Connection(_) | Self::Tls(_) => return None,
            // With these, the proxy says that it tried to connect.
            Self::Status(status) if matches!(status.as_u16(), 502 | 503) => ConnectFailure::Unreachable,
            Self::Status(status) if matches!(status.as_u16(), 504 | 408) => ConnectFailure::TimedOut,
            Self::Status(status) if status.is_server_error() || status.as_u16() == 429 => {
                ConnectFailure::Other
            }
            Self::Status(_) => ConnectFailure::ProxyRefused,
            #[cfg(feature = "socks")]
            Self::User => ConnectFailure::ProxyRefused,
            #[cfg(feature = "socks")]
            Self::Socks(code) => match code {
                3 | 4 => ConnectFailure::Unreachable,
                5 => ConnectFailure::Refused,
                6 => ConnectFailure::TimedOut,
                2 | 7 | 8 => ConnectFailure::ProxyRefused,
                _ => ConnectFailure::Other,
            },
            Self::Protocol(_) => ConnectFailure::Other,
        })
    }
}

/// A [`Refusal`], and the proxy that it came from.
#[derive(Debug)]
pub(crate) struct ProxyError {
    proxy: String,
    refusal: Refusal,
}

impl ProxyError {
    pub(crate) fn failure(&self) -> Option<ConnectFailure> {
        self.refusal.failure()
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = &self.proxy;
        match &self.refusal {
            Refusal::Connection(_) => write!(f, "no connection to the proxy {proxy}"),
            Refusal::Tls(_) => write!(f, "the TLS handshake with the proxy {proxy} failed"),
            Refusal::Status(status) => write!(f, "the proxy {proxy} answered CONNECT with {status}"),
            #[cfg(feature = "socks")]
            Refusal::Socks(code) => {
                let means = match code {
                    1 => "general failure",
                    2 => "not allowed",
                    3 => "network unreachable",
                    4 => "host unreachable",
                    5 => "connection refused",
                    6 => "TTL expired",
                    7 => "command not supported",
                    8 => "address type not supported",
                    _ => "unassigned",
                };
                write!(f, "the proxy {proxy} answered with the SOCKS reply {code} ({means})")
            }
            #[cfg(feature = "socks")]
            Refusal::User => {
                write!(f, "the proxy {proxy} did not accept the user and password, or wants some")
            }
            Refusal::Protocol(what) => write!(f, "the proxy {proxy}: {what}"),
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.refusal {
            Refusal::Connection(error) | Refusal::Tls(error) => Some(error),
            _ => None,
        }
    }
}

/// Undoes percent encoding.
fn decoded(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let digits = if *byte == b'%' { rest.split_at_checked(2) } else { None };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let encoded = digits.and_then(|(two, behind)| Some((digit(two[0])? << 4 | digit(two[1])?, behind)));
        match encoded {
            Some((byte, behind)) => {
                bytes.push(byte);
                rest = behind;
            }
            None => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid("the proxy's user or password is not UTF-8"))
}

fn invalid(why: &'static str) -> Error {
    Error::invalid(Kind::Config, why)
}
