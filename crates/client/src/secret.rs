//! A key that is never printed, and that can be removed from a text.

pub(crate) mod base64;
mod names;
mod redact;

use std::{borrow::Cow, fmt, sync::Arc};

use http::HeaderValue;

pub(crate) use self::names::Secrets;
#[cfg(feature = "test-kit")]
pub(crate) use self::names::is_secret;
use crate::error::{Error, Kind};

/// A key that no `Debug`, `Display` or error of this crate shows.
///
/// A [`ClientBuilder`](crate::ClientBuilder) binds it to the origin of the base URL, and sends it to no other.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a key.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The key itself. The caller is then responsible for keeping it out of logs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Replaces the key in a text by `[redacted]`: in plain form, percent-encoded, escaped as in JSON, and in the
    /// base64 of an `Authorization: Basic` with any user name. For text from others, such as the body of an error.
    ///
    /// A key of fewer than 8 characters may be an ordinary word. It is replaced only if it stands as a word after the
    /// name of a credential (`authorization`, `bearer`, `api key`, `key`, `token`, `secret`, `password`).
    ///
    /// ```
    /// use outbound_client::Secret;
    ///
    /// let key = Secret::new("sk-12345678");
    /// assert_eq!(key.redact("Incorrect API key: sk-12345678."), "Incorrect API key: [redacted].");
    /// let none = Secret::new("EMPTY");
    /// assert_eq!(none.redact("EMPTY reply to Bearer EMPTY"), "EMPTY reply to Bearer [redacted]");
    /// ```
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match redact::redact(&self.0, text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Only whole characters are removed.
            Cow::Owned(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
        }
    }

    /// [`redact`](Self::redact) for bytes, which need not be text.
    pub fn redact_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        redact::redact(&self.0, bytes)
    }

    /// A header value from `prefix` and the key. Its `Debug` does not show it, and HTTP/2's header table leaves it
    /// out.
    pub(crate) fn header_value(&self, prefix: &str) -> Result<HeaderValue, Error> {
        let invalid = || Error::invalid(Kind::Config, "the key has characters that a header cannot carry");
        // RFC 9110, section 5.5, allows other bytes in a value. But no key has them: they were copied by mistake.
        if !self.0.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(invalid());
        }
        let mut value = HeaderValue::try_from(format!("{prefix}{}", self.0)).map_err(|_| invalid())?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The value of `Authorization: Basic` or `Proxy-Authorization: Basic` (RFC 7617). Its `Debug` does not show it.
    pub(crate) fn basic(user: &str, password: &Self) -> Result<HeaderValue, Error> {
        let has_control = |text: &str| text.chars().any(char::is_control);
        if user.contains(':') || has_control(user) || has_control(&password.0) {
            let why = "a user must not contain a colon, and neither user nor password a control character";
            return Err(Error::invalid(Kind::Config, why));
        }
        let pair = format!("{user}:{}", password.0);
        let text = [b"Basic ".to_vec(), base64::encode(pair.as_bytes(), base64::STANDARD)].concat();
        let mut value = HeaderValue::from_maybe_shared(text).expect("base64 is ASCII");
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}
