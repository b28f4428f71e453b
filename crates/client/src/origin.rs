//! An origin: scheme, host and port.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::{
    HeaderValue, Uri,
    uri::{Authority, Scheme},
};

use crate::error::{Error, Kind};

/// Scheme, host and port: what a connection belongs to and what a [`Secret`](crate::Secret) is bound to (RFC 6454).
///
/// Cheap to clone. Its `Display` is `https://host`, with the port if it is not the scheme's default.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    https: bool,
    // In lower case. An IPv6 address keeps its brackets.
    host: Box<str>,
    port: u16,
}

impl Origin {
    /// Whether connections to it are wrapped in TLS.
    pub fn is_https(&self) -> bool {
        self.0.https
    }

    /// `"http"` or `"https"`.
    pub fn scheme(&self) -> &'static str {
        if self.0.https { "https" } else { "http" }
    }

    /// The host name or address, in lower case, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.0.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port. If the URL names none, the scheme's default (80 or 443).
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The address, if the host is one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host().parse().ok()?, self.0.port))
    }

    /// `host:port`, always with the port. An IPv6 address has brackets.
    pub(crate) fn host_and_port(&self) -> String {
        format!("{}:{}", self.0.host, self.0.port)
    }

    /// The origin of an absolute `http` or `https` URI.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Error> {
        let invalid = |why| Error::invalid(Kind::Request, why);
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid("the URL's scheme is not http or https")),
        };
        let authority = uri.authority().ok_or_else(|| invalid("the URL has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("the URL carries a user name or password; give a key to the client instead"));
        }
        let host = authority.host();
        if host.is_empty() || host == "[]" {
            return Err(invalid("the URL has no host"));
        }
        let is_host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => !host.contains(['[', ']']),
        };
        if !is_host {
            return Err(invalid("the URL's host has brackets, but no IPv6 address in them"));
        }
        // The rest must be parsed as a whole: text behind a bracket, or a sign before digits, is ignored by some
        // parsers and not by others.
        let behind = authority.as_str().strip_prefix(host).unwrap_or_default();
        let digits =
            behind.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let port = match digits.map(str::parse) {
            None if behind.is_empty() => Self::default_port(https),
            Some(Ok(0)) => return Err(invalid("the URL's port is 0")),
            Some(Ok(port)) => port,
            None if !behind.starts_with(':') => {
                return Err(invalid("the URL's host has text after its brackets"));
            }
            _ => return Err(invalid("the URL's port is not a number below 65536")),
        };
        Ok(Self(Arc::new(Parts { https, host: host.to_ascii_lowercase().into(), port })))
    }

    /// Host and port in the form of `Host` and `:authority`.
    pub(crate) fn authority(&self) -> Result<(Scheme, Authority, HeaderValue), Error> {
        let text = self.to_string();
        let text = &text[self.scheme().len() + 3..];
        let invalid =
            |_| Error::invalid(Kind::Request, "the URL's host has characters that a host cannot have");
        let authority = text.parse::<Authority>().map_err(|_| invalid(()))?;
        let host = HeaderValue::from_str(text).map_err(|_| invalid(()))?;
        Ok((if self.0.https { Scheme::HTTPS } else { Scheme::HTTP }, authority, host))
    }

    fn default_port(https: bool) -> u16 {
        if https { 443 } else { 80 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.0.host)?;
        if self.0.port != Self::default_port(self.0.https) {
            write!(f, ":{}", self.0.port)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}
