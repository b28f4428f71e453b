//! The hosts that are reached without a proxy, as `NO_PROXY` lists them.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::connect::network::network;

/// The hosts that are reached without a proxy, as `NO_PROXY` lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    /// Whether `*` is in the list.
    all: bool,
    entries: Vec<Exception>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// `None`: any port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// A name and all names below it.
    Domain(Box<str>),
    /// A network. A single address is a network of one address.
    Network(IpNet),
}

impl Exceptions {
    /// Reads a list as curl does. Entries are separated by commas or spaces: names with or without a leading dot,
    /// addresses, networks (`10.0.0.0/8`), and `*` for every host. In addition, `*.name` means `.name`, and an entry
    /// may end with a port (`name:8080`, `[::1]:8080`); it then holds for that port only.
    pub(crate) fn parse(list: &str) -> Self {
        let mut exceptions = Self::default();
        for entry in list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty()) {
            match entry {
                "*" => exceptions.all = true,
                entry => exceptions.entries.extend(Exception::parse(entry)),
            }
        }
        exceptions
    }

    /// Whether a host is in the list. An IPv6 address is given without brackets.
    pub(crate) fn cover(&self, host: &str, port: u16) -> bool {
        if self.all || self.entries.is_empty() {
            return self.all;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        self.entries.iter().any(|entry| {
            entry.port.is_none_or(|only| only == port)
                && match (&entry.hosts, ip) {
                    (Hosts::Network(network), Some(ip)) => network.contains(&ip),
                    (Hosts::Domain(domain), None) => is_below(host, domain),
                    _ => false,
                }
        })
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if let Some(network) = network(entry) {
            return Some(Self { hosts: Hosts::Network(network), port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if let Some(network) = network(host) {
            return Some(Self { hosts: Hosts::Network(network), port });
        }
        let domain = host.strip_prefix('*').unwrap_or(host);
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        (!domain.is_empty()).then(|| Self { hosts: Hosts::Domain(domain.to_ascii_lowercase().into()), port })
    }
}

/// Whether a name is the domain or below it. Names are compared without case (RFC 9110, section 4.2.3).
fn is_below(name: &str, domain: &str) -> bool {
    let Some(at) = name.len().checked_sub(domain.len()) else { return false };
    let Some((before, end)) = name.split_at_checked(at) else { return false };
    end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with('.'))
}
