//! Which origin may set which cookie, and which request gets it back.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::{
    cookie::{Cookie, SameSite},
    set_cookie::{SetCookie, is_pair},
};
use crate::origin::Origin;

/// What has caused a request, as far as a client without pages knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initiator {
    /// The caller.
    SameSite,
    /// A redirect from another site, with a method that only reads (RFC 9110, section 9.2.1).
    OtherSite,
    /// A redirect from another site, with a method that may change something.
    OtherSiteUnsafe,
}

impl Initiator {
    pub(super) fn gets(self, cookie: &Cookie) -> bool {
        match self {
            Self::SameSite => true,
            Self::OtherSite => cookie.same_site != SameSite::Strict,
            Self::OtherSiteUnsafe => cookie.same_site == SameSite::None,
        }
    }
}

/// Whether two origins belong to one site: the same scheme, and the same domain below a public suffix.
pub(crate) fn is_same_site(one: &Origin, other: &Origin) -> bool {
    one.is_https() == other.is_https()
        && (one.host() == other.host() || site(one.host()) == site(other.host()))
}

fn site(host: &str) -> &str {
    if is_address(host) {
        return host;
    }
    psl::domain_str(host).unwrap_or(host)
}

// RFC 6265bis, section 5.5.
const MAX_AGE: i64 = 400 * 24 * 3600;

/// The cookie that results from this header, if the rules of RFC 6265bis, section 5.7, allow it. `now` is the
/// client's time and `date` the server's.
pub(super) fn accept(set: SetCookie<'_>, origin: &Origin, path: &str, now: i64, date: i64) -> Option<Cookie> {
    let SetCookie { name, value, expires, max_age, domain, path: own_path, secure, http_only, same_site } =
        set;
    let host = origin.host();
    let domain = domain.filter(|domain| !domain.is_empty());
    // A public suffix may set cookies for itself only, and an address has no hosts below it.
    let domain = domain.filter(|domain| domain != host || !(is_public_suffix(domain) || is_address(domain)));
    if let Some(domain) = &domain
        && (!domain.is_ascii() || is_public_suffix(domain) || !domain_matches(host, domain))
    {
        return None;
    }
    let cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        host_only: domain.is_none(),
        domain: domain.unwrap_or_else(|| host.to_owned()),
        path: own_path.unwrap_or_else(|| default_path(path)).to_owned(),
        expires: match (max_age, expires) {
            (Some(age), _) => Some(now.saturating_add(age.min(MAX_AGE))),
            (None, Some(expires)) => Some(now.saturating_add(expires.saturating_sub(date).min(MAX_AGE))),
            (None, None) => None,
        },
        secure,
        http_only,
        same_site,
    };
    let may_be_secure = origin.is_https() || !cookie.secure;
    let says_path = own_path.is_some() || !begins(name, HOST);
    (may_be_secure && says_path && keeps_promises(&cookie)).then_some(cookie)
}

/// Whether some server could have set a stored cookie.
pub(super) fn is_valid(cookie: &Cookie) -> bool {
    let Cookie { name, value, domain, path, host_only, .. } = cookie;
    let is_text =
        |text: &str| text.bytes().all(|byte| byte != b';' && (byte == b'\t' || !byte.is_ascii_control()));
    let is_domain = !domain.is_empty()
        && domain.is_ascii()
        && domain.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
        && (*host_only || !(is_public_suffix(domain) || is_address(domain)));
    is_domain
        && is_pair(name, value)
        && is_text(name)
        && is_text(value)
        && !name.contains('=')
        && path.starts_with('/')
        && keeps_promises(cookie)
}

/// Whether a cookie meets what its name prefix promises, and what `SameSite=None` requires.
fn keeps_promises(cookie: &Cookie) -> bool {
    let Cookie { name, value, secure, host_only, path, same_site, .. } = cookie;
    // A value without a name must not look like one of the names with a prefix.
    let named = if name.is_empty() { value } else { name };
    let (is_secure, is_host) = (begins(named, SECURE), begins(named, HOST));
    if name.is_empty() && (is_secure || is_host) {
        return false;
    }
    let is_free = *same_site != SameSite::None && !is_secure && !is_host;
    (*secure || is_free) && (!is_host || (*host_only && path == "/"))
}

/// The prefixes of names that promise something, in any case.
const SECURE: &str = "__Secure-";
const HOST: &str = "__Host-";

fn begins(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether a host is the domain or below it (RFC 6265bis, section 5.1.3).
pub(super) fn domain_matches(host: &str, domain: &str) -> bool {
    let below = || host.strip_suffix(domain).is_some_and(|labels| labels.ends_with('.'));
    host == domain || (below() && !is_address(host))
}

/// Whether a path is the cookie's path or below it (RFC 6265bis, section 5.1.4).
pub(super) fn path_matches(path: &str, of_cookie: &str) -> bool {
    let rest = path.strip_prefix(of_cookie);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || of_cookie.ends_with('/'))
}

/// The path of a cookie that names none: the request's path up to its last slash.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(slash) if slash > 0 && path.starts_with('/') => &path[..slash],
        _ => "/",
    }
}

fn is_public_suffix(domain: &str) -> bool {
    !is_address(domain)
        && psl::suffix(domain.as_bytes()).is_none_or(|suffix| suffix.as_bytes() == domain.as_bytes())
}

pub(super) fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}
