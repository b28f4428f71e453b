//! Why there is no connection, and whether waiting can help.

#[cfg(test)]
mod tests;

use std::{
    error::Error as StdError,
    io::{self, ErrorKind},
};

use crate::{
    connect::{NotAllowed, ProxyError, TlsFailure},
    limits::Limit,
};

/// Why there was no connection, from [`Error::connect_failure`](crate::Error::connect_failure).
///
/// [`can_heal`](Self::can_heal) is the question that most callers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The name does not exist, or has no addresses.
    NameNotFound,
    /// The name could not be looked up at the moment: no resolver answered, or the resolver could not say.
    NameLookup,
    /// Nothing listens there.
    Refused,
    /// There is no route, or no network.
    Unreachable,
    /// A limit on the look-up, on connecting or on TLS has passed.
    TimedOut,
    /// The connection was cut before it took the request: during the TLS handshake, or right after it was made.
    Handshake,
    /// The server's certificate is not valid, or the server has none.
    Certificate,
    /// The server does not speak TLS.
    NotTls,
    /// The proxy refuses: it requires another user or password (407), or does not allow this connection (403).
    ProxyRefused,
    /// The client's [`EgressPolicy`](crate::EgressPolicy) does not allow it.
    NotAllowed,
    /// Another cause, which the error's [`source`](StdError::source) names.
    Other,
}

impl ConnectFailure {
    /// Whether waiting may help. It does not help with a name that does not exist, a certificate that is not valid, a
    /// port that does not speak TLS, a proxy that refuses, or an egress policy: they stay as they are until somebody
    /// changes them.
    pub fn can_heal(self) -> bool {
        !matches!(
            self,
            Self::NameNotFound | Self::Certificate | Self::NotTls | Self::ProxyRefused | Self::NotAllowed
        )
    }

    /// What an error in a stage of a dial means.
    pub(crate) fn of(stage: Limit, error: &(dyn StdError + 'static)) -> Self {
        let mut of_io = None;
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return of_tls(error);
            }
            if let Some(failure) = error.downcast_ref::<TlsFailure>() {
                return of_tls(&failure.cause);
            }
            if error.is::<NotAllowed>() {
                return Self::NotAllowed;
            }
            if let Some(failure) = error.downcast_ref::<ProxyError>().and_then(ProxyError::failure) {
                return failure;
            }
            next = match error.downcast_ref::<io::Error>() {
                Some(error) => {
                    let found =
                        if stage == Limit::Dns { of_look_up(error) } else { of_io_kind(error.kind()) };
                    of_io = of_io.or(found);
                    // The error inside an `io::Error` is not its source, but has the same role.
                    error.get_ref().map(|inner| inner as _)
                }
                // The connection ended during hyper's own handshake.
                None if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_closed) => {
                    return Self::Handshake;
                }
                None => error.source(),
            };
        }
        of_io.unwrap_or(if stage == Limit::Dns { Self::NameLookup } else { Self::Other })
    }
}

fn of_io_kind(kind: ErrorKind) -> Option<ConnectFailure> {
    Some(match kind {
        // The file of a unix socket does not exist before its server runs.
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => ConnectFailure::Refused,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => ConnectFailure::Unreachable,
        ErrorKind::TimedOut => ConnectFailure::TimedOut,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => ConnectFailure::Handshake,
        _ => return None,
    })
}

/// The standard library keeps only the text of `getaddrinfo`'s error, not its number. These are the texts for
/// `EAI_NONAME` and `EAI_NODATA` in glibc, musl, the BSDs and macOS, and the numbers of Windows.
fn of_look_up(error: &io::Error) -> Option<ConnectFailure> {
    const NOT_FOUND: [&str; 6] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided, or not known",
        "no address associated with name",
    ];
    const HOST_NOT_FOUND: i32 = 11_001;
    const NO_DATA: i32 = 11_004;
    if error.kind() == ErrorKind::NotFound || matches!(error.raw_os_error(), Some(HOST_NOT_FOUND | NO_DATA)) {
        return Some(ConnectFailure::NameNotFound);
    }
    let text = error.to_string();
    NOT_FOUND.iter().any(|known| text.contains(known)).then_some(ConnectFailure::NameNotFound)
}

fn of_tls(error: &rustls::Error) -> ConnectFailure {
    match error {
        rustls::Error::InvalidCertificate(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType => ConnectFailure::Certificate,
        rustls::Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType
            | rustls::InvalidMessage::UnknownProtocolVersion
            | rustls::InvalidMessage::MessageTooLarge,
        ) => ConnectFailure::NotTls,
        _ => ConnectFailure::Other,
    }
}
