//! The credentials of one request, in place of the client's own.

use http::{HeaderValue, header};

use super::RequestBuilder;
#[cfg(feature = "digest")]
use crate::digest::Credentials;
use crate::{
    error::{Error, Kind},
    secret::Secret,
};

impl<B> RequestBuilder<B> {
    /// A token in the `authorization` header, as `Bearer` (RFC 6750), in place of the client's key in that header. No
    /// redirect takes it to another origin.
    pub fn bearer_auth(self, token: impl Into<Secret>) -> Self {
        self.authorize(token.into().header_value("Bearer "))
    }

    /// A user and a password in the `authorization` header, as `Basic` (RFC 7617, in UTF-8), in place of the client's
    /// key in that header. No redirect takes them to another origin.
    ///
    /// A colon in the user, or a control character in the user or the password, is an error of [`Kind::Request`].
    pub fn basic_auth(self, user: &str, password: impl Into<Secret>) -> Self {
        self.authorize(Secret::basic(user, &password.into()))
    }

    /// A user and a password for a server that asks for `Digest` (RFC 7616). Of SHA-256, SHA-512-256 and MD5, the
    /// first one that the server offers is used, but MD5 only if it offers no other. The quality of protection is
    /// `auth`, or none with an old server.
    ///
    /// The request is first sent without an answer. If the server replies with a 401 and a challenge, the client
    /// answers it once, on any connection; a second 401 is the reply. A server of another origin, after a redirect,
    /// gets no answer. A request whose body is a stream cannot be answered either. Needs the feature `digest`.
    #[cfg(feature = "digest")]
    pub fn digest_auth(mut self, user: &str, password: impl Into<Secret>) -> Self {
        if let Ok(call) = &mut self.call {
            let origin = call.pool.origin.clone();
            call.credentials =
                Some(Credentials { user: user.into(), password: password.into(), origin }.into());
        }
        self
    }

    fn authorize(mut self, value: Result<HeaderValue, Error>) -> Self {
        match value {
            Ok(value) => drop(self.headers_mut().insert(header::AUTHORIZATION, value)),
            Err(error) => drop(self.error.get_or_insert_with(|| error.of_kind(Kind::Request))),
        }
        self
    }
}
