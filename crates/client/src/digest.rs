//! The scheme `Digest` (RFC 7616): answers to a server's challenges.

#[cfg(test)]
mod tests;

use http::{HeaderMap, HeaderValue, Method, header};
use http_auth::{
    DigestClient, PasswordParams,
    digest::{Algorithm, Qop},
    parse_challenges,
};

use crate::{origin::Origin, secret::Secret};

/// A user and a password, and the origin that they may be used for.
pub(crate) struct Credentials {
    pub(crate) user: Box<str>,
    pub(crate) password: Secret,
    pub(crate) origin: Origin,
}

impl Credentials {
    /// The answer to the best challenge in the head of a 401. `None` if no challenge can be answered.
    pub(crate) fn answer(&self, headers: &HeaderMap, method: &Method, target: &str) -> Option<HeaderValue> {
        let mut client = challenge(headers)?;
        let answer = client.respond(&self.params(method, target)).ok()?;
        let mut value = HeaderValue::try_from(answer).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The body is left out, so the answer does not protect it (`auth`, not `auth-int`).
    fn params<'a>(&'a self, method: &'a Method, target: &'a str) -> PasswordParams<'a> {
        let (username, password) = (&*self.user, self.password.expose());
        PasswordParams { username, password, uri: target, method: method.as_str(), body: None }
    }
}

/// The first challenge with the best algorithm. MD5 is the worst one; all others count as equally good.
fn challenge(headers: &HeaderMap) -> Option<DigestClient> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    // A header that cannot be parsed may stand beside one that can.
    let challenges = values.filter_map(|value| parse_challenges(value).ok()).flatten();
    let clients = challenges
        .filter(|challenge| challenge.scheme.eq_ignore_ascii_case("digest"))
        .filter_map(|challenge| DigestClient::try_from(&challenge).ok())
        .filter(|client| client.qop() & Qop::Auth);
    clients.min_by_key(|client| client.algorithm() == Algorithm::Md5)
}
