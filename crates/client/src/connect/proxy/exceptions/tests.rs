//! Tests of `NO_PROXY` lists: a table, and random lists and hosts.

use proptest::prelude::*;

use super::*;

#[test]
fn the_rules_in_a_table() {
    // The list, a host, its port, and whether the host is reached without the proxy.
    let table = [
        ("", "a.test", 80, false),
        (" , ,", "a.test", 80, false),
        ("*", "a.test", 80, true),
        ("*", "10.0.0.1", 80, true),
        ("b.test, *", "a.test", 80, true),
        ("a.test", "a.test", 80, true),
        ("a.test", "a.test", 8080, true),
        ("A.Test", "a.tEST", 80, true),
        ("a.test", "b.a.test", 80, true),
        (".a.test", "b.a.test", 80, true),
        (".a.test", "a.test", 80, true),
        ("*.a.test", "b.a.test", 80, true),
        ("*.a.test", "a.test", 80, true),
        ("a.test", "ba.test", 80, false),
        ("a.test", "a.test.evil", 80, false),
        ("a.test.", "a.test", 80, true),
        ("a.test", "a.test.", 80, true),
        ("a.test", "a.test..", 80, false),
        ("test", "a.test", 80, true),
        ("b.test a.test", "a.test", 80, true),
        ("b.test\ta.test", "a.test", 80, true),
        ("b.test,a.test", "a.test", 80, true),
        (".", "a.test", 80, false),
        // Ports.
        ("a.test:80", "a.test", 80, true),
        ("a.test:80", "b.a.test", 80, true),
        ("a.test:80", "a.test", 443, false),
        ("a.test:x", "a.test", 80, false),
        ("a.test:99999", "a.test", 80, false),
        ("127.0.0.1:80", "127.0.0.1", 80, true),
        ("127.0.0.1:80", "127.0.0.1", 81, false),
        ("[::1]:80", "::1", 80, true),
        ("[::1]:80", "::1", 81, false),
        // Addresses and networks.
        ("127.0.0.1", "127.0.0.1", 80, true),
        ("127.0.0.1", "127.0.0.11", 80, false),
        ("127.0.0.0/8", "127.200.0.1", 80, true),
        ("127.0.0.0/8", "128.0.0.1", 80, false),
        ("10.1.2.3/8", "10.200.0.1", 80, true),
        ("0.0.0.0/0", "1.2.3.4", 80, true),
        ("0.0.0.0/0", "::1", 80, false),
        ("10.0.0.0/33", "10.0.0.1", 80, false),
        ("::1", "::1", 80, true),
        ("[::1]", "::1", 80, true),
        ("0:0:0:0:0:0:0:1", "::1", 80, true),
        ("fd00::/8", "fd12::1", 80, true),
        ("fe80::1%eth0", "fe80::1", 80, true),
        // A name is never below an address, and never in a network.
        ("0.0.1", "127.0.0.1", 80, false),
        (".0.0.1", "127.0.0.1", 80, false),
        ("10.0.0.0/8", "10.0.0.test", 80, false),
        // IPv4 inside IPv6, on either side.
        ("127.0.0.1", "::ffff:127.0.0.1", 80, true),
        ("::ffff:127.0.0.1", "127.0.0.1", 80, true),
        ("::ffff:7f00:1", "127.0.0.1", 80, true),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 80, true),
        ("::ffff:10.0.0.0/104", "10.1.2.3", 80, true),
        ("::ffff:10.0.0.0/104", "11.1.2.3", 80, false),
        ("::1", "127.0.0.1", 80, false),
    ];
    for (list, host, port, expected) in table {
        assert_eq!(Exceptions::parse(list).cover(host, port), expected, "{list:?} for {host}:{port}");
    }
}

proptest! {
    #[test]
    fn no_list_and_no_host_ends_in_a_panic(list in "\\PC{0,40}", host in "\\PC{0,20}", port: u16) {
        Exceptions::parse(&list).cover(&host, port);
    }

    #[test]
    fn a_name_is_covered_by_itself_and_by_what_it_is_below(
        labels in proptest::collection::vec("[a-z][a-z0-9-]{0,5}", 1..5),
        from in 0_usize..5,
    ) {
        let name = labels.join(".");
        let list = format!("other.invalid,{}", labels[from.min(labels.len() - 1)..].join("."));
        prop_assert!(Exceptions::parse(&list).cover(&name, 443));
        let longer = format!("x{name}");
        prop_assert!(!Exceptions::parse(&name).cover(&longer, 443));
    }
}
