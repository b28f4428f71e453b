//! Certificate verifiers: one that explains refusals and accepts added certificates, and one that accepts everything.

use std::{sync::Arc, time::Duration};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{certificate::fields, failure::Untrusted};

/// Wraps another verifier, and adds two things.
///
/// It says what is wrong with an untrusted chain, because only a verifier sees the chain. And it accepts a server's
/// own certificate that was added to the roots, although that is also an authority's certificate, as `openssl req
/// -x509` makes them. The wrapped verifier refuses such a certificate even if it is trusted.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
    /// Certificates that are trusted directly.
    pub(super) added: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifying {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(Error::InvalidCertificate(cause)) = &verified else { return verified };
        match cause {
            CertificateError::Other(_) if is_of_authority(cause) && self.added.contains(end_entity) => {
                verify_itself(end_entity, server_name, now)
            }
            CertificateError::UnknownIssuer | CertificateError::Other(_) => {
                match Untrusted::of(end_entity, intermediates, cause) {
                    Some(untrusted) => Err(CertificateError::Other(OtherError(Arc::new(untrusted))).into()),
                    None => verified,
                }
            }
            _ => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether the certificate was refused because it is an authority's. The error comes from another crate, and can only
/// be recognized by its text.
pub(super) fn is_of_authority(error: &CertificateError) -> bool {
    format!("{error:?}").contains("CaUsedAsEndEntity")
}

/// Checks that a directly trusted certificate is for this server and valid now. Whether the server has the key is
/// checked in another step.
fn verify_itself(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let valid = fields(certificate).ok_or(CertificateError::BadEncoding)?.valid;
    let at = |secs: u64| UnixTime::since_unix_epoch(Duration::from_secs(secs));
    if now.as_secs() < *valid.start() {
        return Err(CertificateError::NotValidYetContext { time: now, not_before: at(*valid.start()) }.into());
    }
    if now.as_secs() > *valid.end() {
        return Err(CertificateError::ExpiredContext { time: now, not_after: at(*valid.end()) }.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}

/// Accepts any certificate of anybody. The server still has to prove that it has the certificate's key.
#[derive(Debug)]
pub(super) struct AnyCertificate(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
