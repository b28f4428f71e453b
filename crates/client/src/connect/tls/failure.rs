//! Error messages for a failed TLS handshake.

#[cfg(test)]
mod tests;

use std::{error::Error as StdError, fmt, io};

use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, pki_types::CertificateDer,
};

use super::{
    certificate::{called, fields, printable},
    verifier::is_of_authority,
};

/// Replaces the message of a handshake error by one that people understand.
pub(super) fn explain(error: io::Error) -> io::Error {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).cloned() else {
        return error;
    };
    match text(&cause) {
        Some(text) => io::Error::new(error.kind(), TlsFailure { text, cause }),
        None => error,
    }
}

/// Why a handshake failed, as a message for people. It has no source: rustls's own error would only repeat it.
#[derive(Debug)]
pub(crate) struct TlsFailure {
    text: String,
    pub(crate) cause: Error,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for TlsFailure {}

/// `None` if rustls's own message is clear enough.
fn text(error: &Error) -> Option<String> {
    Some(match error {
        Error::InvalidCertificate(error) => return of_certificate(error),
        Error::NoCertificatesPresented => "the server has no certificate".to_owned(),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) => "this port does not speak TLS; if it speaks plain HTTP, use a URL that begins with http://"
            .to_owned(),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "the server speaks no version of TLS that is allowed here".to_owned(),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server requires a client certificate".to_owned()
        }
        Error::AlertReceived(alert) => format!("the server ended the handshake with the alert {alert:?}"),
        _ => return None,
    })
}

fn of_certificate(error: &CertificateError) -> Option<String> {
    Some(match error {
        CertificateError::ExpiredContext { time, not_after } => {
            let (now, then) = (time.as_secs(), not_after.as_secs());
            format!(
                "the server's certificate expired on {}, {} ago",
                utc(then),
                days(now.saturating_sub(then))
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let (now, then) = (utc(time.as_secs()), utc(not_before.as_secs()));
            format!("the server's certificate is not valid before {then}, and the time here is {now}")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = printable(&expected.to_str());
            let names =
                presented.iter().take(8).map(|name| printable(plain(name))).collect::<Vec<_>>().join(", ");
            let more = if presented.len() > 8 { ", ..." } else { "" };
            match presented.is_empty() {
                true => format!("the server's certificate names no host, and so is not for {expected}"),
                false => format!("the server's certificate is for {names}{more} and not for {expected}"),
            }
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate is not issued by an authority that is trusted here".to_owned()
        }
        CertificateError::Other(other) => other.0.downcast_ref::<Untrusted>()?.to_string(),
        _ => return None,
    })
}

/// A certificate that is not trusted.
#[derive(Debug)]
pub(super) enum Untrusted {
    SelfSigned,
    /// Who issued the last certificate of the chain, and how many certificates came beside the server's.
    Issuer {
        called: String,
        intermediates: usize,
    },
}

impl Untrusted {
    pub(super) fn of(
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        error: &CertificateError,
    ) -> Option<Self> {
        let own = fields(end_entity)?;
        let is_unknown = matches!(error, CertificateError::UnknownIssuer);
        // The verifier refuses an authority's certificate for that reason first, before it checks whether the
        // certificate is trusted.
        if own.issuer == own.subject && (is_unknown || is_of_authority(error)) {
            return Some(Self::SelfSigned);
        }
        let last = intermediates.last().and_then(|last| Some(fields(last)?.issuer)).unwrap_or(own.issuer);
        let called = called(last).unwrap_or_else(|| "an authority without a name".to_owned());
        is_unknown.then_some(Self::Issuer { called, intermediates: intermediates.len() })
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned => {
                f.write_str("the server's certificate is self-signed, and not among the trusted roots")
            }
            Self::Issuer { called, intermediates: 0 } => write!(
                f,
                "the server's certificate is issued by `{called}`, which is not among the trusted roots; \
                 the chain may be incomplete, as the server sent no other certificate"
            ),
            Self::Issuer { called, .. } => {
                write!(
                    f,
                    "the server's chain of certificates ends at `{called}`, which is not among the trusted roots"
                )
            }
        }
    }
}

impl StdError for Untrusted {}

/// The name inside a text such as `DnsName("a.test")`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, name)| name.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// Seconds since 1970, as a date and a time of day.
fn utc(secs: u64) -> String {
    // Years begin in March here. Every 400 years have the same number of days.
    let days = secs / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (secs / 3600 % 24, secs / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

fn days(secs: u64) -> String {
    match secs {
        0..172_800 => format!("{} hours", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}
