use std::{fmt, sync::Arc};

use http::HeaderValue;

use crate::error::{Error, Kind};

/// A key that no `Debug`, `Display` or error of this crate shows.
///
/// Given to a [`ClientBuilder`](crate::ClientBuilder) it is bound to the origin of the base URL and sent nowhere else.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a key.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The key itself. Whoever calls this takes over keeping it out of logs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `prefix` and the key as a header value that its own `Debug` and HTTP/2's header table leave out.
    pub(crate) fn header_value(&self, prefix: &str) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::try_from(format!("{prefix}{}", self.0))
            .map_err(|_| Error::invalid(Kind::Config, "the key has characters that a header cannot carry"))?;
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
