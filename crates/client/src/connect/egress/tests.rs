//! Tests of the egress policy: tables of addresses, networks, hosts, ports and proxies.

use proptest::prelude::*;

use super::*;

fn origin(url: &str) -> Origin {
    Origin::of(&url.parse().unwrap()).unwrap()
}

fn permits(policy: &EgressPolicy, ip: &str) -> bool {
    policy.permits(SocketAddr::new(ip.parse().unwrap(), 80))
}

#[test]
fn the_public_internet_in_a_table() {
    let policy = EgressPolicy::public_only();
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.0.0.1",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ];
    let special = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2001:2::1",
        "3fff::1",
        "5f00::1",
        "4000::1",
        // IPv4 inside IPv6.
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a00:1",
        "::127.0.0.1",
        "::8.8.8.8",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
        "2001:0:0:0:0:0:80ff:fffe",
    ];
    for ip in public {
        assert!(permits(&policy, ip), "{ip}");
    }
    for ip in special {
        assert!(!permits(&policy, ip), "{ip}");
    }
}

#[test]
fn networks_are_allowed_and_denied_in_each_form() {
    let beside =
        EgressPolicy::public_only().allow_networks(["10.1.0.0/16", "fd00::/8"]).deny_networks(["8.8.8.0/24"]);
    for (ip, expected) in [
        ("10.1.2.3", true),
        ("10.2.0.1", false),
        ("::ffff:10.1.2.3", true),
        ("64:ff9b::10.1.2.3", true),
        ("64:ff9b::10.2.2.3", false),
        ("fd00::1", true),
        ("fc00::1", false),
        ("1.1.1.1", true),
        ("8.8.8.8", false),
        ("::ffff:8.8.8.8", false),
        ("64:ff9b::8.8.8.8", false),
        ("2002:808:808::1", false),
    ] {
        assert_eq!(permits(&beside, ip), expected, "{ip}");
    }
    let only = EgressPolicy::new().allow_networks(["127.0.0.1"]).deny_networks(["127.0.0.0/8"]);
    assert!(!permits(&only, "127.0.0.1"), "what is denied is denied");
    let only = EgressPolicy::new().allow_networks(["127.0.0.1", "::1"]);
    assert!(permits(&only, "127.0.0.1") && permits(&only, "::1") && permits(&only, "::ffff:127.0.0.1"));
    assert!(!permits(&only, "127.0.0.2") && !permits(&only, "1.1.1.1") && !permits(&only, "2002:7f00:1::"));
    let not = EgressPolicy::new().deny_hosts(["1.1.1.1"]);
    assert!(permits(&not, "1.1.1.2") && !permits(&not, "1.1.1.1") && !permits(&not, "::ffff:1.1.1.1"));
    let not = EgressPolicy::new().deny_networks(["10.0.0.0/8"]);
    assert!(permits(&not, "127.0.0.1") && !permits(&not, "10.0.0.1") && !permits(&not, "::ffff:10.0.0.1"));
}

#[test]
fn hosts_ports_and_schemes_in_a_table() {
    let new = EgressPolicy::new;
    let table = [
        (new(), "http://a.test", Ok(())),
        (new().https_only(), "https://a.test", Ok(())),
        (new().https_only(), "http://a.test", Err("http")),
        (new().allow_ports([443, 8443]), "https://a.test", Ok(())),
        (new().allow_ports([443, 8443]), "https://a.test:8444", Err("the port 8444")),
        (new().deny_ports([22, 25]), "http://a.test:25", Err("the port 25")),
        (new().allow_hosts(["a.test"]), "http://A.test", Ok(())),
        (new().allow_hosts(["a.test"]), "http://a.test.", Ok(())),
        (new().allow_hosts(["A.test."]), "http://a.test", Ok(())),
        (new().allow_hosts(["a.test"]), "http://b.a.test", Err("the host b.a.test")),
        (new().allow_hosts(["*.a.test"]), "http://c.b.a.test", Ok(())),
        (new().allow_hosts(["*.a.test"]), "http://a.test", Err("the host a.test")),
        (new().allow_hosts(["*.a.test"]), "http://xa.test", Err("the host xa.test")),
        (new().allow_hosts(["*.a.test"]), "http://a.test.evil", Err("the host a.test.evil")),
        (
            new().allow_hosts(["a.test", "b.test"]).deny_hosts(["a.test"]),
            "http://a.test",
            Err("the host a.test"),
        ),
        (new().deny_hosts(["*.a.test"]), "http://b.a.test.", Err("the host b.a.test")),
        (new().allow_hosts(["[::1]"]), "http://[::1]:80", Ok(())),
    ];
    for (policy, url, expected) in table {
        policy.check().unwrap();
        let permitted = policy.permit(&origin(url), None).map_err(|error| error.0);
        assert_eq!(permitted.as_ref().map_err(String::as_str).copied(), expected, "{url}");
    }
}

#[test]
fn addresses_in_odd_forms_are_refused() {
    let policy = EgressPolicy::public_only();
    for host in [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "1.2.3.4.5",
        "0x",
        "08.8.8.8",
    ] {
        assert!(policy.permit(&origin(&format!("http://{host}/")), None).is_err(), "{host}");
    }
    for host in ["8.8.8.8", "[2606:4700::1111]", "a.test", "1.test", "0x7f.test", "a.b1"] {
        assert!(policy.permit(&origin(&format!("http://{host}/")), None).is_ok(), "{host}");
    }
}

#[test]
fn proxies_are_allowed_by_name_where_addresses_matter() {
    let proxy = Proxy::new("http://Proxy.test:3128").unwrap();
    let permit = |policy: EgressPolicy| policy.permit(&origin("https://a.test"), Some(&proxy)).is_ok();
    assert!(permit(EgressPolicy::new().https_only().allow_hosts(["a.test"])));
    assert!(!permit(EgressPolicy::public_only()));
    assert!(!permit(EgressPolicy::new().deny_networks(["10.0.0.0/8"]).allow_proxy("other.test")));
    assert!(permit(EgressPolicy::public_only().allow_proxy("proxy.TEST")));
}

#[test]
fn what_is_not_valid_is_said() {
    for policy in [
        EgressPolicy::new().allow_hosts([""]),
        EgressPolicy::new().deny_hosts(["*"]),
        EgressPolicy::new().deny_hosts(["*a.test"]),
        EgressPolicy::new().allow_hosts(["a.*.test"]),
        EgressPolicy::new().allow_hosts(["http://a.test"]),
        EgressPolicy::new().allow_networks(["10.0.0.0/33"]),
        EgressPolicy::new().deny_networks(["a.test"]),
    ] {
        assert!(policy.check().is_err(), "{policy:?}");
    }
}

proptest! {
    #[test]
    fn no_form_of_a_private_address_is_public(a: u8, b: u8, c: u8, which in 0..4_usize) {
        let v4 = [[10, a, b, c], [127, a, b, c], [192, 168, b, c], [169, 254, b, c]][which];
        let policy = EgressPolicy::public_only();
        let [a, b, c, d] = v4;
        for ip in [
            format!("{a}.{b}.{c}.{d}"),
            format!("::ffff:{a}.{b}.{c}.{d}"),
            format!("::{a}.{b}.{c}.{d}"),
            format!("64:ff9b::{a}.{b}.{c}.{d}"),
            format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
            format!("::ffff:0:{a}.{b}.{c}.{d}"),
            format!("2606:4700::5efe:{a}.{b}.{c}.{d}"),
            format!("2606:4700::200:5efe:{a}.{b}.{c}.{d}"),
        ] {
            prop_assert!(!permits(&policy, &ip), "{}", ip);
            let denied = EgressPolicy::new().deny_hosts([&*format!("{a}.{b}.{c}.{d}")]);
            prop_assert!(!permits(&denied, &ip), "{}", ip);
        }
    }
}
