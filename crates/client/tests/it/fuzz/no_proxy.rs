//! Random lists of hosts without a proxy, compared with a simple model.

use std::net::IpAddr;

use outbound_client::Proxy;

use super::{anywhere, block_on, rounds};
use crate::support::OK;

const PIECES: &[&str] = &[
    "*",
    ",",
    ", ",
    " ",
    ".",
    "*.",
    "example.com",
    "EXAMPLE.com",
    "a.example.com",
    "com",
    "localhost",
    "127.0.0.1",
    "127.0.0.0/8",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::1",
    "[::1]",
    "::1/128",
    "fd00::/8",
    "::/0",
    "::ffff:127.0.0.1",
    "::ffff:0:0/96",
    "::ffff:10.0.0.0/104",
    "fe80::1%eth0",
    ":80",
    ":8080",
    "[::1]:8080",
    "127.0.0.1:80",
    "/8",
    "/33",
    "/",
    ":",
    "[",
    "]",
    "%",
    "xexample.com",
    "example.com.",
    "ü",
];

const HOSTS: &[&str] = &[
    "example.com",
    "EXAMPLE.COM",
    "a.example.com",
    "example.com.",
    "xexample.com",
    "com",
    "localhost",
    "127.0.0.1",
    "10.1.2.3",
    "11.1.2.3",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a01:203]",
    "[fd00::1]",
    "[fe80::1]",
];

/// The bits of an address, with IPv4 mapped into IPv6, and whether it is an IPv4 address.
fn bits(text: &str) -> Option<(u128, bool)> {
    let bits = match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    };
    Some((bits, bits >> 32 == 0xffff))
}

/// A network: its bits, how many of them count, and whether it is an IPv4 network.
fn network(text: &str) -> Option<(u128, u32, bool)> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let Some((address, length)) = text.split_once('/') else {
        let (bits, v4) = bits(text.split('%').next()?)?;
        return Some((bits, 128, v4));
    };
    let (bits, mapped) = bits(address)?;
    let is_text_v4 = !address.contains(':');
    let length = u32::from(length.parse::<u8>().ok()?) + if is_text_v4 { 96 } else { 0 };
    (length <= 128).then_some((bits, length, mapped && length >= 96))
}

fn holds(entry: &str, host: &str, port: u16) -> bool {
    let matches = |entry: &str, only: Option<u16>| -> Option<bool> {
        let (net, length, v4) = network(entry)?;
        let inside = bits(host).is_some_and(|(address, is_v4)| {
            is_v4 == v4 && (length == 0 || (address ^ net) >> (128 - length) == 0)
        });
        Some(inside && only.is_none_or(|only| only == port))
    };
    if entry == "*" {
        return true;
    }
    if let Some(found) = matches(entry, None) {
        return found;
    }
    let (name, only) = match entry.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => return false,
        },
        None => (entry, None),
    };
    if let Some(found) = matches(name, only) {
        return found;
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    let name = name.strip_prefix('.').unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let below = host == name || host.ends_with(&format!(".{name}"));
    !name.is_empty() && bits(&host).is_none() && below && only.is_none_or(|only| only == port)
}

#[test]
fn a_list_of_hosts_without_a_proxy_means_what_it_says() {
    rounds(400, |draws| {
        let list = draws.text(PIECES, 8);
        let (host, port) = (draws.pick(HOSTS), if draws.one_in(2) { 80 } else { 8080 });
        let bare = host.trim_matches(['[', ']']);
        let direct =
            list.split(|c: char| c == ',' || c.is_whitespace()).any(|entry| holds(entry, bare, port));
        let proxy = Proxy::new("http://canary:canary@proxy.test:3128").unwrap().except(&list);
        let (builder, sent) = anywhere(|_, _| OK.to_vec());
        block_on(async {
            let client = builder.proxy(proxy).build().unwrap();
            client.get(&format!("http://{host}:{port}/")).send().await.unwrap().bytes().await.unwrap();
        });
        let sent = sent.lock().unwrap();
        let (origin, head) = &sent[0];
        assert_eq!(origin != "http://proxy.test:3128", direct, "{list:?} and {host}:{port}");
        assert_eq!(head.contains("proxy-authorization"), !direct);
    });
}
