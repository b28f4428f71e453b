//! One cookie, as a jar stores it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One cookie of a [`CookieJar`](crate::CookieJar). Its `Debug` does not show the value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cookie {
    /// The name. It may be empty.
    pub name: String,
    /// The value. It is often a secret.
    pub value: String,
    /// The domain that `Domain` named, or else the host that set the cookie. In lower case.
    pub domain: String,
    /// Whether the cookie goes only to that host, and not to hosts below it.
    pub host_only: bool,
    /// It goes only with requests to this path and below it.
    pub path: String,
    /// When it expires, in seconds since 1970 (UTC). `None`: when the jar is dropped.
    pub expires: Option<i64>,
    /// Whether it goes over `https` only.
    pub secure: bool,
    /// Whether scripts of a page may not read it. A client has no scripts, so this is only stored.
    pub http_only: bool,
    /// Whether it goes with requests that another site has caused.
    pub same_site: SameSite,
}

/// `SameSite` of a cookie (RFC 6265bis, section 5.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// The server did not set it, which means the same as `Lax`.
    #[default]
    Unset,
    /// It goes with requests from any site.
    None,
    /// It goes with requests from its own site, and with requests from other sites that only read.
    Lax,
    /// It goes with requests from its own site.
    Strict,
}

impl Cookie {
    /// Whether one cookie replaces the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.path == other.path
            && self.host_only == other.host_only
            && self.domain == other.domain
    }

    pub(super) fn has_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value: _, domain, host_only, path, expires, secure, http_only, same_site } = self;
        f.debug_struct("Cookie")
            .field("name", name)
            .field("domain", domain)
            .field("host_only", host_only)
            .field("path", path)
            .field("expires", expires)
            .field("secure", secure)
            .field("http_only", http_only)
            .field("same_site", same_site)
            .finish_non_exhaustive()
    }
}
