//! Who a client is to the origin of its base URL, and to nobody else.

use http::{HeaderName, HeaderValue, header};

use super::ClientBuilder;
use crate::{error::Error, secret::Secret};

/// What a client proves itself with.
pub(super) enum Auth {
    /// In each request.
    Header(HeaderName, HeaderValue),
    /// When a server asks for it.
    #[cfg(feature = "digest")]
    Digest(Box<str>, Secret),
}

/// Who the client is. It needs a base URL, to whose origin this is bound: it goes nowhere else. A client has one key, or
/// one user and password; the last one said counts. A request can have [its own](crate::RequestBuilder::bearer_auth).
impl ClientBuilder {
    /// A key in the `authorization` header, as `Bearer` (RFC 6750).
    pub fn bearer_auth(self, key: impl Into<Secret>) -> Self {
        self.authorize(header::AUTHORIZATION, key.into().header_value("Bearer "))
    }

    /// A user and a password in the `authorization` header, as `Basic` (RFC 7617, in UTF-8).
    ///
    /// A user with a colon, and a control character in either, is an error of [`Kind::Config`](crate::Kind::Config).
    pub fn basic_auth(self, user: &str, password: impl Into<Secret>) -> Self {
        self.authorize(header::AUTHORIZATION, Secret::basic(user, &password.into()))
    }

    /// A key in a header of its own, such as `x-api-key`.
    pub fn auth<N>(mut self, name: N, key: impl Into<Secret>) -> Self
    where
        HeaderName: TryFrom<N>,
    {
        match HeaderName::try_from(name) {
            Ok(name) => self.authorize(name, key.into().header_value("")),
            Err(_) => {
                self.reject("the key's header has a name that is not valid");
                self
            }
        }
    }

    /// A user and a password for a server that asks for `Digest` (RFC 7616): as for
    /// [one request](crate::RequestBuilder::digest_auth), for each that has no `authorization` of its own. With the
    /// feature `digest`.
    #[cfg(feature = "digest")]
    pub fn digest_auth(mut self, user: &str, password: impl Into<Secret>) -> Self {
        self.auth = Some(Auth::Digest(user.into(), password.into()));
        self
    }

    fn authorize(mut self, name: HeaderName, value: Result<HeaderValue, Error>) -> Self {
        match value {
            Ok(value) => self.auth = Some(Auth::Header(name, value)),
            Err(error) => drop(self.error.get_or_insert(error)),
        }
        self
    }
}
