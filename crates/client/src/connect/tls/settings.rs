//! The TLS settings of a builder, and the rustls configuration that is made from them.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, KeyLogFile, ProtocolVersion, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use rustls_platform_verifier::Verifier;

use super::verifier::{AnyCertificate, Verifying};
use crate::error::{Error, Kind};

/// The TLS settings of a caller.
#[derive(Default)]
pub(crate) struct Settings {
    /// Trusted in addition to what the platform trusts.
    roots: Vec<CertificateDer<'static>>,
    pub(crate) only_added_roots: bool,
    client_certificate: Option<Arc<CertifiedKey>>,
    only_tls13: bool,
    pub(crate) no_sni: bool,
    pub(crate) key_log: bool,
    pub(crate) accept_any_certificate: bool,
}

impl Settings {
    pub(crate) fn add_roots(&mut self, pem: &[u8]) -> Result<(), Error> {
        let certificates = certificates(pem, "the roots are not certificates in PEM")?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            let not_valid = |error| invalid("a root is not a valid certificate").source_from(error);
            store.add(certificate.clone()).map_err(not_valid)?;
        }
        self.roots.extend(certificates);
        Ok(())
    }

    pub(crate) fn set_client_certificate(&mut self, pem: &[u8]) -> Result<(), Error> {
        let chain = certificates(pem, "the client's certificate is not one in PEM")?;
        // The source of this error is dropped, so that it shows none of the key's bytes.
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|_| invalid("there is no private key in PEM beside the client's certificate"))?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
            invalid("the client's private key cannot be used with its certificate").source_from(error)
        })?;
        self.client_certificate = Some(Arc::new(certified));
        Ok(())
    }

    pub(crate) fn set_min_version(&mut self, version: ProtocolVersion) -> Result<(), Error> {
        self.only_tls13 = match version {
            ProtocolVersion::TLSv1_2 => false,
            ProtocolVersion::TLSv1_3 => true,
            _ => return Err(invalid("the least version of TLS is 1.2 or 1.3")),
        };
        Ok(())
    }

    /// Whether nothing was changed.
    pub(crate) fn is_default(&self) -> bool {
        let Self { roots, only_added_roots, client_certificate, only_tls13, .. } = self;
        let Self { no_sni, key_log, accept_any_certificate, .. } = self;
        let flags = [only_added_roots, only_tls13, no_sni, key_log, accept_any_certificate];
        roots.is_empty() && client_certificate.is_none() && flags.iter().all(|flag| !**flag)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.only_added_roots && self.roots.is_empty() {
            return Err(invalid("no root is added, and only those are to be trusted"));
        }
        Ok(())
    }

    pub(super) fn config(&self, alpn: &[Vec<u8>]) -> Result<ClientConfig, rustls::Error> {
        let provider = provider();
        let verifier: Arc<dyn ServerCertVerifier> = if self.accept_any_certificate {
            Arc::new(AnyCertificate(provider.clone()))
        } else {
            Arc::new(Verifying { inner: self.verifier(&provider)?, added: self.roots.clone() })
        };
        let versions = if self.only_tls13 { &[&TLS13][..] } else { &[&TLS13, &TLS12] };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.client_certificate {
            None => builder.with_no_client_auth(),
            Some(certified) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified.clone())))
            }
        };
        config.alpn_protocols = alpn.to_vec();
        config.enable_sni = !self.no_sni;
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(config)
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        if !self.only_added_roots {
            let roots = self.roots.iter().cloned();
            return Ok(Arc::new(Verifier::new_with_extra_roots(roots, provider.clone())?));
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.roots.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone()).build();
        Ok(verifier.map_err(|error| rustls::Error::General(error.to_string()))?)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// All certificates in a text; an error if there is none.
fn certificates(pem: &[u8], otherwise: &'static str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| invalid(otherwise))
}

fn invalid(why: &'static str) -> Error {
    Error::invalid(Kind::Config, why)
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("added_roots", &self.roots.len())
            .field("only_added_roots", &self.only_added_roots)
            .field("client_certificate", &self.client_certificate.is_some())
            .field("min_version", if self.only_tls13 { &"1.3" } else { &"1.2" })
            .field("sni", &!self.no_sni)
            .field("key_log", &self.key_log)
            .field("danger_accept_any_certificate", &self.accept_any_certificate)
            .finish()
    }
}
