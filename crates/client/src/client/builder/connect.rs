//! Settings of the builder: proxies, egress policy and TLS.

use super::ClientBuilder;
use crate::{
    connect::{Connector, EgressPolicy, Proxies, Proxy, TlsSettings},
    error::{Error, Kind},
};

/// The part of a [`ClientBuilder`] that says how connections are made.
#[derive(Debug, Default)]
pub(super) struct Connecting {
    proxy: Choice,
    pub(super) tls: TlsSettings,
    pub(super) egress: EgressPolicy,
}

#[derive(Debug, Default)]
enum Choice {
    #[default]
    Environment,
    None,
    Proxy(Proxy),
}

impl Connecting {
    /// The proxies of a client with these settings.
    pub(super) fn proxies(&self, connector: &Connector) -> Proxies {
        match (&self.proxy, connector) {
            (Choice::Proxy(proxy), _) => Proxies::one(proxy.clone()),
            (Choice::Environment, Connector::Tcp) => Proxies::from_environment(),
            // A connector leads where its caller wants, so the environment is not asked.
            (Choice::Environment, Connector::Other(_)) | (Choice::None, _) => Proxies::default(),
        }
    }

    pub(super) fn check(&self, has_tls_config: bool) -> Result<(), Error> {
        if has_tls_config && !self.tls.is_default() {
            let why =
                "`tls_config` is the whole TLS configuration: no other TLS setting can be used beside it";
            return Err(Error::invalid(Kind::Config, why));
        }
        self.tls.check()?;
        self.egress.check()
    }

    pub(super) fn has_proxy(&self) -> bool {
        matches!(self.proxy, Choice::Proxy(_))
    }
}

/// How connections are made.
impl ClientBuilder {
    /// Sends all requests through a proxy, except those to hosts that [`Proxy::except`] names. The value is a
    /// [`Proxy`] or its URL. The environment is not asked then.
    ///
    /// Without this call, [`build`](Self::build) reads the environment as curl does. `http_proxy` is for `http`
    /// origins and `https_proxy` for `https` origins; `all_proxy` is for those without a variable of their own;
    /// `no_proxy` lists the hosts that are reached directly (as in [`Proxy::except`]). A name in capitals counts if
    /// the name in lower case is not set or is empty. `HTTP_PROXY` counts only if `REQUEST_METHOD` is not set: in a
    /// CGI program the client of the web server can set it. A value that cannot be used is an error of
    /// [`Kind::Config`](crate::Kind::Config) for the requests that would go through it. With a
    /// [`connector`](Self::connector) or a [`unix_socket`](Self::unix_socket) the environment is not asked.
    pub fn proxy<P>(mut self, proxy: P) -> Self
    where
        P: TryInto<Proxy, Error: Into<Error>>,
    {
        match proxy.try_into() {
            Ok(proxy) => self.connecting.proxy = Choice::Proxy(proxy),
            Err(error) => drop(self.error.get_or_insert_with(|| error.into())),
        }
        self
    }

    /// Uses no proxy, and does not ask the environment.
    pub fn no_proxy(mut self) -> Self {
        self.connecting.proxy = Choice::None;
        self
    }

    /// Which hosts, ports and addresses the client may connect to.
    pub fn egress(mut self, policy: EgressPolicy) -> Self {
        self.connecting.egress = policy;
        self
    }

    /// Trusts the certificates of a PEM text, in addition to those that the platform trusts: the certificate of a
    /// private authority, or of one server.
    pub fn add_root_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        let added = self.connecting.tls.add_roots(pem.as_ref());
        self.note(added)
    }

    /// Trusts only what [`add_root_pem`](Self::add_root_pem) added.
    pub fn only_added_roots(mut self) -> Self {
        self.connecting.tls.only_added_roots = true;
        self
    }

    /// Presents a certificate to servers that ask for one. The PEM text has the certificate, then the intermediate
    /// certificates, and the private key (PKCS #8, SEC 1 or PKCS #1). Proxies do not get it.
    pub fn client_certificate_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        let set = self.connecting.tls.set_client_certificate(pem.as_ref());
        self.note(set)
    }

    /// The lowest allowed version of TLS: [`TLSv1_2`](rustls::ProtocolVersion::TLSv1_2) or
    /// [`TLSv1_3`](rustls::ProtocolVersion::TLSv1_3). Older versions are never used.
    pub fn min_tls_version(mut self, version: rustls::ProtocolVersion) -> Self {
        let set = self.connecting.tls.set_min_version(version);
        self.note(set)
    }

    /// Whether the client sends the server's name unencrypted in the TLS handshake (SNI, RFC 6066, section 3). A
    /// server with several certificates needs it.
    pub fn sni(mut self, sni: bool) -> Self {
        self.connecting.tls.no_sni = !sni;
        self
    }

    /// Writes the secrets of each TLS session to the file that the environment variable `SSLKEYLOGFILE` names, if it
    /// is set. A tool such as Wireshark can then decrypt the traffic. So can everybody who has the file.
    pub fn tls_key_log(mut self) -> Self {
        self.connecting.tls.key_log = true;
        self
    }

    /// Accepts any certificate of anybody. Everybody on the network path can then read and change all data, including
    /// keys. For tests only; otherwise use [`add_root_pem`](Self::add_root_pem) to trust a certificate. `Debug` of
    /// the builder and of the client shows this setting.
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.connecting.tls.accept_any_certificate = true;
        self
    }

    fn note(mut self, done: Result<(), Error>) -> Self {
        if let Err(error) = done {
            self.error.get_or_insert(error);
        }
        self
    }
}
