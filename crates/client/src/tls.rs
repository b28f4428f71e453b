use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{ClientConfig, crypto::CryptoProvider, pki_types::ServerName};
use rustls_platform_verifier::Verifier;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{connect::Transport, origin::Origin};

/// TLS as every `https` origin of a client gets it.
pub(crate) struct Tls {
    // The caller's configuration, or the platform's roots from the first https dial on: reading them takes time.
    config: OnceLock<Result<Arc<ClientConfig>, Arc<rustls::Error>>>,
    alpn: Vec<Vec<u8>>,
}

impl Tls {
    /// `alpn` is offered unless the caller's configuration has a list of its own.
    pub(crate) fn new(config: Option<Arc<ClientConfig>>, alpn: &[&[u8]]) -> Self {
        let alpn = alpn.iter().map(|protocol| protocol.to_vec()).collect::<Vec<_>>();
        let given = OnceLock::new();
        if let Some(mut config) = config {
            if config.alpn_protocols.is_empty() {
                Arc::make_mut(&mut config).alpn_protocols.clone_from(&alpn);
            }
            let _ = given.set(Ok(config));
        }
        Self { config: given, alpn }
    }

    /// Whether a server may choose HTTP/2.
    pub(crate) fn offers_http2(&self) -> bool {
        let offered = match self.config.get() {
            Some(Ok(config)) => &config.alpn_protocols,
            _ => &self.alpn,
        };
        offered.iter().any(|protocol| protocol == b"h2")
    }

    pub(crate) async fn handshake(
        &self,
        origin: &Origin,
        transport: Box<dyn Transport>,
    ) -> io::Result<TlsStream<Box<dyn Transport>>> {
        let config = self.config.get_or_init(|| platform(&self.alpn).map(Arc::new).map_err(Arc::new));
        let config = config.clone().map_err(io::Error::other)?;
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(config).connect(name, transport).await
    }
}

/// Ring, TLS 1.2 and 1.3, and what the platform trusts.
fn platform(alpn: &[Vec<u8>]) -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier::new(provider.clone())?);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = alpn.to_vec();
    Ok(config)
}
