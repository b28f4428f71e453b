//! Settings of the builder: the credentials for the origin of the base URL.

use http::{HeaderName, HeaderValue, header};

use super::ClientBuilder;
use crate::{error::Error, secret::Secret};

/// The credentials of a client.
pub(super) enum Auth {
    /// Sent with each request.
    Header(HeaderName, HeaderValue),
    /// Sent as an answer to a server's challenge.
    #[cfg(feature = "digest")]
    Digest(Box<str>, Secret),
}

/// Credentials. They need a base URL: they are bound to its origin and are sent to no other. A client has one key, or
/// one user and password; the last one that was set counts. A request can have [its
/// own](crate::RequestBuilder::bearer_auth).
impl ClientBuilder {
    /// A key in the `authorization` header, as `Bearer` (RFC 6750).
    pub fn bearer_auth(self, key: impl Into<Secret>) -> Self {
        self.authorize(header::AUTHORIZATION, key.into().header_value("Bearer "))
    }

    /// A user and a password in the `authorization` header, as `Basic` (RFC 7617, in UTF-8).
    ///
    /// A colon in the user, or a control character in the user or the password, is an error of
    /// [`Kind::Config`](crate::Kind::Config).
    pub fn basic_auth(self, user: &str, password: impl Into<Secret>) -> Self {
        self.authorize(header::AUTHORIZATION, Secret::basic(user, &password.into()))
    }

    /// A key in another header, such as `x-api-key`.
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

    /// A user and a password for a server that asks for `Digest` (RFC 7616). It works as for [one
    /// request](crate::RequestBuilder::digest_auth), for each request without an `authorization` header of its own.
    /// Needs the feature `digest`.
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
