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

/// Another verifier, and what that lacks.
///
/// It says of a certificate that nobody trusts what is amiss with its chain, which only a verifier sees. And it takes a
/// server's own certificate that was added to the roots although it is an authority's too, as `openssl req -x509` makes
/// them: that is refused by the other one, whatever is trusted.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
    /// Trusted as they are.
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

/// Whether the server's certificate is refused for being an authority's. The error behind it is another crate's, and has
/// no name here but its text.
pub(super) fn is_of_authority(error: &CertificateError) -> bool {
    format!("{error:?}").contains("CaUsedAsEndEntity")
}

/// Whether a certificate that is trusted itself is for this server, now. That the server has its key is another step.
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

/// Takes any certificate of anybody. The other side still proves that it has the certificate's key.
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
