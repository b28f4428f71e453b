//! What a client's connections go through.

use super::ClientBuilder;
use crate::{
    connect::{Connector, Proxies, Proxy},
    error::Error,
};

/// The part of a [`ClientBuilder`] that says how connections are made.
#[derive(Debug, Default)]
pub(super) struct Connecting {
    proxy: Choice,
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
}
