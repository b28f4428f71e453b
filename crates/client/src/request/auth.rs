//! Who sends a request, in place of the client's own key.

use http::{HeaderValue, header};

use super::RequestBuilder;
#[cfg(feature = "digest")]
use crate::digest::Credentials;
use crate::{
    error::{Error, Kind},
    secret::Secret,
};

impl<B> RequestBuilder<B> {
    /// A token in the `authorization` header, as `Bearer` (RFC 6750), in place of a key that the client has there. No
    /// redirect takes it to another origin.
    pub fn bearer_auth(self, token: impl Into<Secret>) -> Self {
        self.authorize(token.into().header_value("Bearer "))
    }

    /// A user and a password in the `authorization` header, as `Basic` (RFC 7617, in UTF-8), in place of a key that
    /// the client has there. No redirect takes them to another origin.
    ///
    /// A user with a colon, and a control character in either, is an error of [`Kind::Request`].
    pub fn basic_auth(self, user: &str, password: impl Into<Secret>) -> Self {
        self.authorize(Secret::basic(user, &password.into()))
    }

    /// A user and a password for a server that asks for `Digest` (RFC 7616): SHA-256, SHA-512-256 or MD5, whichever of
    /// them it offers first, MD5 last; with the quality of protection `auth`, or none where the server is that old.
    ///
    /// The request is sent as it is. A 401 that asks for such an answer is answered once, on any connection; another
    /// one is the reply. A server of another origin, where a redirect has led, gets no answer, and none does a request
    /// whose body is a stream. With the feature `digest`.
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
