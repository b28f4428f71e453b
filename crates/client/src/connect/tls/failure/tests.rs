//! Tests of the messages about certificates, and of their dates.

use rustls::pki_types::{ServerName, UnixTime};

use super::*;

fn at(secs: u64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs))
}

#[test]
fn dates() {
    for (secs, expected) in [
        (0, "1970-01-01 00:00 UTC"),
        (86_399, "1970-01-01 23:59 UTC"),
        (951_782_400, "2000-02-29 00:00 UTC"),
        (951_868_800, "2000-03-01 00:00 UTC"),
        (1_709_164_800, "2024-02-29 00:00 UTC"),
        (1_735_689_599, "2024-12-31 23:59 UTC"),
        (4_107_542_400, "2100-03-01 00:00 UTC"),
    ] {
        assert_eq!(utc(secs), expected);
    }
}

#[test]
fn what_is_wrong_with_a_certificate_in_words() {
    let expected = ServerName::try_from("b.test").unwrap();
    let table = [
        (
            CertificateError::ExpiredContext { time: at(1_709_164_800), not_after: at(951_782_400) },
            "the server's certificate expired on 2000-02-29 00:00 UTC, 8766 days ago",
        ),
        (
            CertificateError::ExpiredContext { time: at(951_789_600), not_after: at(951_782_400) },
            "the server's certificate expired on 2000-02-29 00:00 UTC, 2 hours ago",
        ),
        (
            CertificateError::NotValidYetContext { time: at(0), not_before: at(951_782_400) },
            "the server's certificate is not valid before 2000-02-29 00:00 UTC, and the time here is 1970-01-01 00:00 UTC",
        ),
        (
            CertificateError::NotValidForNameContext {
                expected: expected.clone(),
                presented: vec!["DnsName(\"a.test\")".to_owned(), "c\n.test".to_owned()],
            },
            "the server's certificate is for a.test, c.test and not for b.test",
        ),
        (
            CertificateError::NotValidForNameContext { expected, presented: vec![] },
            "the server's certificate names no host, and so is not for b.test",
        ),
    ];
    for (error, expected) in table {
        assert_eq!(text(&Error::InvalidCertificate(error)).as_deref(), Some(expected));
    }
    assert_eq!(text(&Error::InvalidCertificate(CertificateError::Revoked)), None);
}
