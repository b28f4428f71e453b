//! What follows a reply that the client handles itself: a redirect, or the answer to a challenge. Also describes
//! errors.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use super::Call;
use crate::{
    body::Body,
    error::Error,
    pool::Pool,
    redirect::{Redirect, Step},
    reply_body::ReplyBody,
    target::Target,
};

impl Call {
    /// Whether the client may handle this reply itself.
    #[inline]
    pub(super) fn may_be_followed(&self, response: &Response<Incoming>) -> bool {
        #[cfg(feature = "digest")]
        if self.is_challenge(response) {
            return true;
        }
        response.status().is_redirection() && self.redirects.are_followed()
    }

    /// Follows a redirect, or answers a challenge. Returns the reply if neither is to be done.
    #[cold]
    pub(super) fn follow(
        self: &mut Box<Self>,
        response: Response<Incoming>,
    ) -> Result<Option<Response<Incoming>>, Error> {
        #[cfg(feature = "digest")]
        if self.is_challenge(&response) {
            return Ok(self.answer(response));
        }
        self.redirected(response)
    }

    fn redirected(
        self: &mut Box<Self>,
        response: Response<Incoming>,
    ) -> Result<Option<Response<Incoming>>, Error> {
        let Some(request) = &self.request_copy else { return Ok(Some(response)) };
        let mut chain = self.chain.take().unwrap_or_default();
        let (core, policy) = (self.core.clone(), self.redirects);
        let (status, headers) = (response.status(), response.headers());
        let step = Step { policy, secrets: &core.secrets, from: &self.pool.origin, request, status, headers };
        let next = step.follow(&mut chain);
        self.chain = Some(chain);
        let Some((origin, request)) = next? else { return Ok(Some(response)) };
        #[cfg(feature = "digest")]
        let request = self.without_answer(request);
        let pool = core.pool(origin, self.proxies.as_deref())?;
        self.turn_to(pool, request, response);
        Ok(None)
    }

    /// Begins again with another request, within the same limits.
    pub(super) fn turn_to(
        self: &mut Box<Self>,
        pool: Arc<Pool>,
        request: Request<Body>,
        response: Response<Incoming>,
    ) {
        let mut next = Self::new(&self.core, pool, Target::default(), request);
        next.limit_timer.share(&self.limit_timer);
        next.chain = self.chain.take();
        next.redirects = self.redirects;
        next.proxies = self.proxies.take();
        next.left_origin = self.left_origin;
        next.is_exchange = self.is_exchange;
        #[cfg(feature = "cookies")]
        {
            next.left_site = self.left_site;
        }
        #[cfg(feature = "digest")]
        {
            next.credentials = self.credentials.take();
        }
        let timings = self.timings.take();
        next.start(self.replayable, false);
        next.timings = timings;
        // What has come of this reply's body is read and dropped, so that its connection can be used again.
        self.receive(&response);
        drop(ReplyBody::new(response.into_body(), std::mem::replace(self, next)));
    }

    pub(super) fn has_left(&self) -> bool {
        self.left_origin || self.chain.as_ref().is_some_and(|chain| chain.left_origin)
    }

    /// Adds to an error where the request went, and how long it took.
    #[cold]
    pub(super) fn describe(&self, mut error: Error) -> Error {
        if let Some(timings) = &self.timings {
            error.set_timings(timings.timings());
        }
        if let Some(proxy) = &self.pool.proxy {
            error.set_proxy(proxy);
        }
        error.set_url(&self.pool.origin, self.target());
        let has_followed = self.chain.as_ref().is_some_and(|chain| !chain.followed.is_empty());
        #[cfg(feature = "digest")]
        let has_followed = has_followed || self.is_answer;
        if has_followed { error.after_redirect() } else { error }
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        match (&self.request_copy, &self.request) {
            (Some(request_copy), _) => request_copy.target(),
            (None, Some(request)) => request.uri().path_and_query().map_or("/", |target| target.as_str()),
            (None, None) => "/",
        }
    }

    pub(crate) fn followed(&self) -> &[Redirect] {
        self.chain.as_ref().map_or(&[], |chain| &chain.followed)
    }

    /// Whether the body's coding stays: the caller asked for it, or a layer handles it.
    pub(crate) fn takes_coding(&self) -> bool {
        self.is_exchange
            || self.core.takes_codings
            || self.request_copy.as_ref().is_some_and(|request_copy| request_copy.asks_for_coding)
    }
}
