//! Another way to the origin than the client's.

use super::RequestBuilder;
use crate::connect::{Proxies, Proxy};

impl<B> RequestBuilder<B> {
    /// Sends this request through a proxy, but to the hosts that [`Proxy::except`] names, whatever the client's proxies
    /// are. Its connections are used by requests through the same proxy only. Redirects are followed in the same way.
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
