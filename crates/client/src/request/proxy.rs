//! The proxy of one request, in place of the client's.

use super::RequestBuilder;
use crate::connect::{Proxies, Proxy};

impl<B> RequestBuilder<B> {
    /// Sends this request through a proxy, except to hosts that [`Proxy::except`] names. The client's proxies are not
    /// used. Only requests through the same proxy share its connections. Redirects are followed through the same
    /// proxy.
    pub fn proxy(self, proxy: &Proxy) -> Self {
        self.through(Proxies::one(proxy.clone()))
    }

    /// Sends this request without a proxy, and follows its redirects without one.
    pub fn no_proxy(self) -> Self {
        self.through(Proxies::default())
    }

    fn through(mut self, proxies: Proxies) -> Self {
        if let Ok(call) = &mut self.call
            && let Err(error) = call.go_through(proxies)
        {
            self.error.get_or_insert(error);
        }
        self
    }
}
