//! Redirects (RFC 9110, section 15.4): which are followed, what is sent to the new URL, and what is removed.

use std::fmt;

use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri, header};

use crate::{
    body::Body,
    error::Error,
    origin::Origin,
    request_copy::RequestCopy,
    secret::Secrets,
    target::{self, without_query},
};

/// Which redirects are followed: 301, 302, 303, 307 and 308 with a `Location`.
///
/// | part | default |
/// |---|---|
/// | [`up_to`](Self::up_to) | 10 |
/// | [`allow_http`](Self::allow_http) | no: a redirect from `https` to `http` is not followed |
/// | [`allow_bodies`](Self::allow_bodies) | no: a request's body is not sent to another origin |
///
/// With [`none`](Self::none), a redirect is a normal reply. In all other cases, a redirect that this policy does not
/// follow is an error of [`Kind::Redirect`](crate::Kind::Redirect). So is one that needs a body which cannot be read
/// twice.
///
/// 303 turns every method except HEAD into GET. 301 and 302 turn POST into GET. The body and the headers that
/// describe it are then left out. All else is sent unchanged.
///
/// Secrets are sent only to their own origin, which is scheme, host and port. Secrets are: the client's key and
/// default headers, `authorization`, `cookie`, the headers of vendors' keys (`x-api-key`, names that end with
/// `-token` or `-secret`, and the like), values that are marked as sensitive, and what
/// [`ClientBuilder::secret_header`](crate::ClientBuilder::secret_header) and
/// [`secret_query`](crate::ClientBuilder::secret_query) name. Redirects that lead away and back to the first origin
/// do not bring the secrets back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirects {
    max: u8,
    http: bool,
    bodies: bool,
}

impl Redirects {
    /// Follows no redirect: a 3xx is a normal reply.
    pub const fn none() -> Self {
        Self::up_to(0)
    }

    /// Follows at most this many in a row.
    pub const fn up_to(max: u8) -> Self {
        Self { max, http: false, bodies: false }
    }

    /// Also follows redirects from `https` to `http`.
    pub const fn allow_http(mut self) -> Self {
        self.http = true;
        self
    }

    /// Also sends the request's body to another origin, if the status requires the body (307, 308). From `http` to
    /// `https` on the same host this is always allowed.
    pub const fn allow_bodies(mut self) -> Self {
        self.bodies = true;
        self
    }

    #[inline]
    pub(crate) fn are_followed(self) -> bool {
        self.max > 0
    }
}

impl Default for Redirects {
    fn default() -> Self {
        Self::up_to(10)
    }
}

/// A redirect that was followed, from [`Reply::redirects`](crate::Reply::redirects).
///
/// Its `Debug` shows no query, because a query may contain a key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// Its status.
    pub status: StatusCode,
    /// The URL that answered with it.
    pub url: String,
}

/// The redirects that a request has followed.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) followed: Vec<Redirect>,
    /// Whether a redirect has led away from the first origin, even if another one led back.
    pub(crate) left_origin: bool,
    /// Whether a redirect has led from one site to another.
    #[cfg(feature = "cookies")]
    pub(crate) left_site: bool,
}

/// A reply that may be a redirect, and the request that it answers.
pub(crate) struct Step<'a> {
    pub(crate) policy: Redirects,
    pub(crate) secrets: &'a Secrets,
    pub(crate) from: &'a Origin,
    pub(crate) request: &'a RequestCopy,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
}

impl Step<'_> {
    /// Where the redirect leads and what is sent there, with a URI in origin form. `None` if the reply is not a
    /// redirect to follow.
    pub(crate) fn follow(&self, chain: &mut Chain) -> Result<Option<(Origin, Request<Body>)>, Error> {
        if !self.policy.are_followed() || !matches!(self.status.as_u16(), 301..=303 | 307 | 308) {
            return Ok(None);
        }
        let Some(location) = self.headers.get(header::LOCATION) else { return Ok(None) };
        let fail = |why| Error::redirect(why, self.status).at(self.from);
        if chain.followed.len() >= usize::from(self.policy.max) {
            return Err(fail("too many redirects in a row"));
        }
        let (origin, mut target) = target::resolve(self.from, self.request.target(), location.as_bytes())
            .map_err(|error| {
                fail("a redirect leads to a URL that is not valid http or https").source_from(error)
            })?;
        if self.from.is_https() && !origin.is_https() && !self.policy.http {
            return Err(fail("a redirect leads from https to http"));
        }
        let elsewhere = origin != *self.from;
        let mut request = self.request()?;
        if elsewhere {
            chain.left_origin = true;
            #[cfg(feature = "cookies")]
            {
                chain.left_site |= !crate::cookies::is_same_site(&origin, self.from);
            }
            let is_upgrade = origin.is_https() && origin.host() == self.from.host();
            let has_body = !http_body::Body::is_end_stream(request.body());
            if has_body && !is_upgrade && !self.policy.bodies {
                return Err(fail("a redirect to another origin asks for the request's body"));
            }
            self.strip(request.headers_mut());
            if !self.secrets.query.is_empty() {
                target = target::without_pairs(&target, &self.secrets.query);
            }
        }
        *request.uri_mut() = Uri::from(target::finish(target).map_err(|error| error.at(self.from))?);
        let url = format!("{}{}", self.from, self.request.target());
        chain.followed.push(Redirect { status: self.status, url });
        Ok(Some((origin, request)))
    }

    fn request(&self) -> Result<Request<Body>, Error> {
        let lost = || {
            let why = "a redirect asks for the request's body, which is a stream and cannot be read twice";
            Error::redirect(why, self.status).at(self.from)
        };
        let method = self.request.method();
        let becomes_get = match self.status {
            StatusCode::SEE_OTHER => *method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
            _ => false,
        };
        if !becomes_get {
            return self.request.request().ok_or_else(lost);
        }
        let mut request = self.request.without_body().ok_or_else(lost)?;
        if *method != Method::GET {
            *request.method_mut() = Method::GET;
            OF_BODIES.iter().for_each(|name| drop(request.headers_mut().remove(name)));
        }
        Ok(request)
    }

    fn strip(&self, headers: &mut HeaderMap) {
        let names: Vec<HeaderName> = headers
            .iter()
            .filter(|(name, value)| value.is_sensitive() || self.secrets.has(name))
            .map(|(name, _)| name.clone())
            .collect();
        names.iter().for_each(|name| drop(headers.remove(name)));
    }
}

/// Headers that describe a body.
const OF_BODIES: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::LAST_MODIFIED,
];

impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirect")
            .field("status", &self.status)
            .field("url", &without_query(&self.url))
            .finish()
    }
}
