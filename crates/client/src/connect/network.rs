//! Parses an address or a network, as lists of hosts contain them.

use std::net::IpAddr;

use ipnet::IpNet;

/// An address or a network. An address may have brackets or a zone. IPv4 mapped in IPv6 becomes IPv4.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Some((address, length)) = text.split_once('/') {
        let address = address.parse::<IpAddr>().ok()?;
        let length = length.parse::<u8>().ok()?;
        return match (address, address.to_canonical()) {
            (IpAddr::V6(_), canonical @ IpAddr::V4(_)) if length >= 96 => {
                IpNet::new(canonical, length - 96).ok()
            }
            (address, _) => IpNet::new(address, length).ok(),
        };
    }
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    Some(IpNet::from(address.parse::<IpAddr>().ok()?.to_canonical()))
}
