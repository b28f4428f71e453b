//! TLS with origins and with proxies: the configuration, and the handshake.

mod certificate;
mod failure;
mod settings;
mod verifier;

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, SignatureScheme, client::ResolvesClientCert, pki_types::ServerName, sign::CertifiedKey,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::failure::explain;
pub(crate) use self::{failure::TlsFailure, settings::Settings as TlsSettings};
use super::Stream;
use crate::origin::Origin;

/// The TLS of a client: for its `https` origins and for `https` proxies.
pub(crate) struct Tls {
    // The caller's configuration, or one made from the settings at the first dial: to read the platform's roots takes
    // time.
    config: OnceLock<Result<Arc<ClientConfig>, Arc<rustls::Error>>>,
    /// `None` if the caller gave a whole configuration.
    settings: Option<TlsSettings>,
    alpn: Vec<Vec<u8>>,
    /// Made from `config` when first needed: one for proxies, and one that offers only HTTP/1.1.
    for_proxies: OnceLock<Arc<ClientConfig>>,
    for_http1: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// `alpn` is offered, unless the caller's configuration has a list of its own.
    pub(crate) fn new(config: Option<Arc<ClientConfig>>, settings: TlsSettings, alpn: &[&[u8]]) -> Self {
        let alpn = alpn.iter().map(|protocol| protocol.to_vec()).collect::<Vec<_>>();
        let given = OnceLock::new();
        let settings = config.is_none().then_some(settings);
        if let Some(mut config) = config {
            if config.alpn_protocols.is_empty() {
                Arc::make_mut(&mut config).alpn_protocols.clone_from(&alpn);
            }
            let _ = given.set(Ok(config));
        }
        let (for_proxies, for_http1) = (OnceLock::new(), OnceLock::new());
        Self { config: given, settings, alpn, for_proxies, for_http1 }
    }

    /// Whether a server may choose HTTP/2.
    pub(crate) fn offers_http2(&self) -> bool {
        let offered = match self.config.get() {
            Some(Ok(config)) => &config.alpn_protocols,
            _ => &self.alpn,
        };
        offered.iter().any(|protocol| protocol == b"h2")
    }

    /// The TLS handshake with an origin. With `http1`, only HTTP/1.1 is offered.
    pub(crate) async fn handshake(
        &self,
        origin: &Origin,
        http1: bool,
        transport: Stream,
    ) -> io::Result<TlsStream<Stream>> {
        let config = self.config()?;
        if !http1 {
            return shake_hands(config, origin, transport).await;
        }
        let config = self.for_http1.get_or_init(|| Arc::new(http1_only(&config)));
        shake_hands(config.clone(), origin, transport).await
    }

    /// The TLS handshake with a proxy. It offers HTTP/1.1, and does not use the client's certificate, which is for
    /// origins.
    pub(crate) async fn handshake_with_proxy(
        &self,
        proxy: &Origin,
        transport: Stream,
    ) -> io::Result<TlsStream<Stream>> {
        let config = self.config()?;
        let config = self.for_proxies.get_or_init(|| {
            let mut config = http1_only(&config);
            config.client_auth_cert_resolver = Arc::new(NoCertificate);
            Arc::new(config)
        });
        shake_hands(config.clone(), proxy, transport).await
    }

    fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let make = || {
            let settings =
                self.settings.as_ref().expect("without settings there is the caller's configuration");
            settings.config(&self.alpn).map(Arc::new).map_err(Arc::new)
        };
        self.config.get_or_init(make).clone().map_err(io::Error::other)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.settings {
            Some(settings) => settings.fmt(f),
            None => f.write_str("Tls(the caller's configuration)"),
        }
    }
}

fn http1_only(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

async fn shake_hands(
    config: Arc<ClientConfig>,
    origin: &Origin,
    transport: Stream,
) -> io::Result<TlsStream<Stream>> {
    let name = ServerName::try_from(origin.host().to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    TlsConnector::from(config).connect(name, transport).await.map_err(explain)
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
