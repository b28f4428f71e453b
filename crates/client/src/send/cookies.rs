//! Cookies of a request: read from the jar before each hop, and stored in it after each reply.

use http::{HeaderValue, Response, header};
use hyper::body::Incoming;

use super::Call;
use crate::{cookies::Initiator, fields::has_field};

impl Call {
    /// Adds the jar's cookies to a request, after the request's own.
    pub(super) fn add_cookies(&mut self) {
        let (Some(jar), Some(request)) = (&self.core.cookies, &mut self.request) else { return };
        let left_site = self.left_site || self.chain.as_ref().is_some_and(|chain| chain.left_site);
        let initiator = match (left_site, request.method().is_safe()) {
            (false, _) => Initiator::SameSite,
            (true, true) => Initiator::OtherSite,
            (true, false) => Initiator::OtherSiteUnsafe,
        };
        let target = request.uri().path();
        // Several `cookie` headers count as one.
        let own = request.headers().get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        let own = own.collect::<Vec<_>>().join(&b"; "[..]);
        if let Some(cookies) = jar.value(&self.pool.origin, target, initiator, &own) {
            request.headers_mut().insert(header::COOKIE, cookies);
        }
    }

    /// Stores the cookies of a reply, whatever its status is.
    pub(super) fn keep_cookies(&self, response: &Response<Incoming>) {
        if let Some(jar) = &self.core.cookies
            && has_field(response.headers(), &header::SET_COOKIE)
        {
            jar.keep(&self.pool.origin, self.target(), response.headers());
        }
    }
}
