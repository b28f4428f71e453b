//! What a client's connections go through.

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
    /// The proxies of a client that connects in this way.
    pub(super) fn proxies(&self, connector: &Connector) -> Proxies {
        match (&self.proxy, connector) {
            (Choice::Proxy(proxy), _) => Proxies::one(proxy.clone()),
            (Choice::Environment, Connector::Tcp) => Proxies::from_environment(),
            // A connector leads where the caller wants it to.
            (Choice::Environment, Connector::Other(_)) | (Choice::None, _) => Proxies::default(),
        }
    }

    pub(super) fn check(&self, has_tls_config: bool) -> Result<(), Error> {
        if has_tls_config && !self.tls.is_default() {
            let why = "a TLS configuration of one's own is whole: nothing else can be said of TLS beside it";
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
    /// Sends everything through a proxy, but what [`Proxy::except`] names: a [`Proxy`], or the URL of one. The
    /// environment is not asked then.
    ///
    /// Without this, [`build`](Self::build) asks the environment as curl does. `http_proxy` is for `http` origins and
    /// `https_proxy` for `https` ones; `all_proxy` is for both where there is none of their own, and `no_proxy` lists the
    /// hosts to be reached without one (as in [`Proxy::except`]). The names in capitals count where those in lower case
    /// are not set or are empty, `HTTP_PROXY` only where `REQUEST_METHOD` is not set: there the request of a CGI program
    /// can set it. A value that cannot be used is an error of [`Kind::Config`](crate::Kind::Config) for the requests
    /// that would go through it. With a [`connector`](Self::connector) or a [`unix_socket`](Self::unix_socket) the
    /// environment is not asked.
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

    /// Uses no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.connecting.proxy = Choice::None;
        self
    }

    /// Where the client may go.
    pub fn egress(mut self, policy: EgressPolicy) -> Self {
        self.connecting.egress = policy;
        self
    }

    /// Trusts the certificates in a PEM text as well, beside what the platform trusts: a private authority's, or a
    /// server's own.
    pub fn add_root_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        let added = self.connecting.tls.add_roots(pem.as_ref());
        self.note(added)
    }

    /// Trusts nothing but what [`add_root_pem`](Self::add_root_pem) added.
    pub fn only_added_roots(mut self) -> Self {
        self.connecting.tls.only_added_roots = true;
        self
    }

    /// Shows a certificate to servers that ask for one: a PEM text with the certificate, the intermediate ones behind it,
    /// and the private key (PKCS #8, SEC 1 or PKCS #1). Proxies do not get it.
    pub fn client_certificate_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        let set = self.connecting.tls.set_client_certificate(pem.as_ref());
        self.note(set)
    }

    /// The least version of TLS: [`TLSv1_2`](rustls::ProtocolVersion::TLSv1_2) or
    /// [`TLSv1_3`](rustls::ProtocolVersion::TLSv1_3). There are no older ones here.
    pub fn min_tls_version(mut self, version: rustls::ProtocolVersion) -> Self {
        let set = self.connecting.tls.set_min_version(version);
        self.note(set)
    }

    /// Whether servers are told in the clear which name is wanted (SNI, RFC 6066, section 3). Servers with several
    /// certificates need it.
    pub fn sni(mut self, sni: bool) -> Self {
        self.connecting.tls.no_sni = !sni;
        self
    }

    /// Writes the secrets of each TLS session to the file that the environment's `SSLKEYLOGFILE` names, if it names one,
    /// so that a tool such as Wireshark can read what was said. Who has the file can read it too.
    pub fn tls_key_log(mut self) -> Self {
        self.connecting.tls.key_log = true;
        self
    }

    /// Takes any certificate of anybody: whoever is on the way can read and change everything, keys included. For tests
    /// alone; a certificate that is not trusted is better trusted by [`add_root_pem`](Self::add_root_pem). `Debug` of
    /// the builder and of the client shows it.
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
