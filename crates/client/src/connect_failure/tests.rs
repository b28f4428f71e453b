//! Tests of how errors of the resolver, the system and TLS are told apart.

use std::{io, sync::Arc};

use super::*;

fn of(stage: Limit, error: impl StdError + 'static) -> ConnectFailure {
    ConnectFailure::of(stage, &error)
}

#[test]
fn a_look_up_that_says_that_there_is_no_such_name_is_told_from_one_that_says_nothing() {
    let look_up = |text: &str| {
        let error = io::Error::other(format!("failed to lookup address information: {text}"));
        // As the cache of names wraps an error for all who wait for it.
        of(Limit::Dns, io::Error::new(error.kind(), Arc::new(error)))
    };
    for text in [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided, or not known",
    ] {
        assert_eq!(look_up(text), ConnectFailure::NameNotFound, "{text}");
    }
    for text in ["Temporary failure in name resolution", "Try again", "Non-recoverable failure", ""] {
        assert_eq!(look_up(text), ConnectFailure::NameLookup, "{text}");
    }
    let none = io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
    assert_eq!(of(Limit::Dns, io::Error::new(none.kind(), Arc::new(none))), ConnectFailure::NameNotFound);
    assert_eq!(of(Limit::Dns, io::Error::from_raw_os_error(11_001)), ConnectFailure::NameNotFound);
    assert_eq!(of(Limit::Dns, io::Error::from(io::ErrorKind::ConnectionRefused)), ConnectFailure::NameLookup);
    assert_eq!(of(Limit::Dns, io::Error::from(io::ErrorKind::TimedOut)), ConnectFailure::NameLookup);
}

#[test]
fn what_the_system_says_about_connecting_is_told_apart() {
    for (kind, failure) in [
        (ErrorKind::ConnectionRefused, ConnectFailure::Refused),
        (ErrorKind::NotFound, ConnectFailure::Refused),
        (ErrorKind::HostUnreachable, ConnectFailure::Unreachable),
        (ErrorKind::NetworkUnreachable, ConnectFailure::Unreachable),
        (ErrorKind::NetworkDown, ConnectFailure::Unreachable),
        (ErrorKind::AddrNotAvailable, ConnectFailure::Unreachable),
        (ErrorKind::TimedOut, ConnectFailure::TimedOut),
        (ErrorKind::ConnectionReset, ConnectFailure::Handshake),
        (ErrorKind::BrokenPipe, ConnectFailure::Handshake),
        (ErrorKind::UnexpectedEof, ConnectFailure::Handshake),
        (ErrorKind::PermissionDenied, ConnectFailure::Other),
    ] {
        for stage in [Limit::Connect, Limit::Tls] {
            assert_eq!(of(stage, io::Error::from(kind)), failure, "{kind}");
            assert!(failure.can_heal());
        }
    }
}

#[test]
fn what_tls_says_is_told_apart() {
    use rustls::{AlertDescription, CertificateError, InvalidMessage};
    for (error, failure, heals) in [
        (
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
            ConnectFailure::Certificate,
            false,
        ),
        (rustls::Error::NoCertificatesPresented, ConnectFailure::Certificate, false),
        (rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType), ConnectFailure::NotTls, false),
        (rustls::Error::AlertReceived(AlertDescription::InternalError), ConnectFailure::Other, true),
        (rustls::Error::DecryptError, ConnectFailure::Other, true),
    ] {
        let shown = error.to_string();
        let found = of(Limit::Tls, io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!((found, found.can_heal()), (failure, heals), "{shown}");
    }
    assert!(!ConnectFailure::NameNotFound.can_heal());
}
