//! Another way to the origin than the client's.

use super::RequestBuilder;
use crate::connect::Proxy;

impl<B> RequestBuilder<B> {
    /// Sends this request through a proxy, whatever the client's way to its origin is, and over connections that only
    /// requests through this proxy use.
    pub fn proxy(self, proxy: &Proxy) -> Self {
        self.through(Some(proxy.clone()))
    }

    /// Sends this request without a proxy.
    pub fn no_proxy(self) -> Self {
        self.through(None)
    }

    fn through(mut self, proxy: Option<Proxy>) -> Self {
        if let Ok(call) = &mut self.call {
            match call.pool.through(proxy) {
                Ok(pool) => call.pool = pool,
                Err(error) => drop(self.error.get_or_insert(error)),
            }
        }
        self
    }
}
