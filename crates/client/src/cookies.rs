//! Cookies (RFC 6265bis, draft 22): which cookies of servers are kept, and which requests get them.

mod cookie;
mod date;
mod jar;
mod rules;
mod set_cookie;

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, Uri, header};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::Instant;

pub use self::cookie::{Cookie, SameSite};
use self::jar::Jar;
pub(crate) use self::rules::{Initiator, is_same_site};
use crate::{
    error::{Error, Kind},
    origin::Origin,
};

/// The cookies that servers have set, for [`ClientBuilder::cookies`](crate::ClientBuilder::cookies).
///
/// A clone is another handle on the same jar. With it you can read the jar, share it among clients, or store it.
/// Needs the feature `cookies`.
///
/// | rule of RFC 6265bis | here |
/// |---|---|
/// | `Domain` of a public suffix (`com`, `co.uk`, `github.io`) | refused, by Mozilla's list as of the crate `psl` |
/// | `Secure`, `__Secure-`, `__Host-` | set by `https` origins only, sent to them only, and no `http` origin replaces them |
/// | `SameSite` | a site is a scheme and a domain below a public suffix, and a request counts as made by its own site. After a redirect from one site to another, `Strict` cookies are not sent. With other methods than GET, HEAD, OPTIONS and TRACE, only cookies with `None` are sent |
/// | `Expires`, `Max-Age` | at most 400 days. `Expires` is read against the reply's `Date` |
/// | name and value | 4096 bytes together; other attributes 1024 bytes each |
/// | cookies of a domain | 50; above that, a cookie is dropped: first those that are not `Secure`, then the one that was not used for the longest time |
/// | cookies of a jar | 3000; above that, the one that was not used for the longest time is dropped |
///
/// A cookie that is not UTF-8 is ignored. No `Debug` and no error shows a value.
///
/// A jar can be stored with serde, as a list of [`Cookie`]s. Cookies without an expiry are included.
///
/// ```
/// use outbound_client::{Client, CookieJar};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let jar = CookieJar::new();
/// jar.add("https://api.example.com/login", "session=31d4; Secure; HttpOnly")?;
/// let client = Client::builder().cookies(jar.clone()).build()?;
///
/// let stored = serde_json::to_string(&jar)?;
/// let again: CookieJar = serde_json::from_str(&stored)?;
/// assert_eq!(again.cookies()[0].name, "session");
/// assert_eq!(again.header("http://api.example.com/")?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CookieJar(Arc<Shared>);

struct Shared {
    // When the jar was made, by both clocks.
    anchor: SystemTime,
    since: Instant,
    jar: Mutex<Jar>,
}

impl CookieJar {
    /// An empty jar.
    pub fn new() -> Self {
        Self::with_wall_clock(SystemTime::now())
    }

    /// An empty jar that starts with this wall-clock time. From then on it uses tokio's clock.
    pub fn with_wall_clock(now: SystemTime) -> Self {
        Self(Arc::new(Shared { anchor: now, since: Instant::now(), jar: Mutex::default() }))
    }

    /// Adds a cookie as a server at this URL would, from the text of a `Set-Cookie` header. Returns whether it was
    /// kept. A cookie that the rules forbid is not kept. A cookie that has expired removes the one with the same
    /// name, domain and path.
    ///
    /// # Errors
    ///
    /// [`Kind::Request`]: the URL is not an absolute `http` or `https` URL.
    pub fn add(&self, url: &str, set_cookie: &str) -> Result<bool, Error> {
        let (origin, path) = parts(url)?;
        Ok(self.take(&origin, &path, set_cookie, None))
    }

    /// The `cookie` header of a request to this URL. `None` if it would be empty.
    ///
    /// # Errors
    ///
    /// [`Kind::Request`]: the URL is not an absolute `http` or `https` URL.
    pub fn header(&self, url: &str) -> Result<Option<HeaderValue>, Error> {
        let (origin, path) = parts(url)?;
        Ok(self.value(&origin, &path, Initiator::SameSite, b""))
    }

    /// All cookies that have not expired, in the order in which they came.
    pub fn cookies(&self) -> Vec<Cookie> {
        let now = self.now();
        self.0.jar.lock().cookies(now)
    }

    /// Removes the cookie with the same name, domain and path. Returns whether there was one.
    pub fn remove(&self, cookie: &Cookie) -> bool {
        self.0.jar.lock().remove(cookie)
    }

    /// Removes all.
    pub fn clear(&self) {
        *self.0.jar.lock() = Jar::default();
    }

    /// Stores the cookies of a reply.
    pub(crate) fn keep(&self, origin: &Origin, target: &str, headers: &HeaderMap) {
        let set = headers.get_all(header::SET_COOKIE);
        // The server's own time, if it sends one.
        let date = headers.get(header::DATE).and_then(|date| date::parse(date.to_str().ok()?));
        for cookie in set.iter().filter_map(|value| str::from_utf8(value.as_bytes()).ok()) {
            self.take(origin, target, cookie, date);
        }
    }

    /// The `cookie` header of a request. The request's own cookies come first, and a cookie of the same name is not
    /// added. `None` if there is nothing to add.
    pub(crate) fn value(
        &self,
        origin: &Origin,
        target: &str,
        initiator: Initiator,
        own: &[u8],
    ) -> Option<HeaderValue> {
        let now = self.now();
        let text = self.0.jar.lock().header(origin, path(target), initiator, own, now)?;
        // Everything that the jar accepts is valid in a header.
        let mut value = HeaderValue::from_maybe_shared(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn take(&self, origin: &Origin, target: &str, text: &str, date: Option<i64>) -> bool {
        let now = self.now();
        let Some(set) = set_cookie::parse(text) else { return false };
        let Some(cookie) = rules::accept(set, origin, path(target), now, date.unwrap_or(now)) else {
            return false;
        };
        self.0.jar.lock().put(cookie, origin.is_https(), now)
    }

    /// Seconds since 1970.
    fn now(&self) -> i64 {
        let now = self.0.anchor.checked_add(self.0.since.elapsed()).unwrap_or(self.0.anchor);
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(seconds).unwrap_or(i64::MAX)
    }
}

fn parts(url: &str) -> Result<(Origin, String), Error> {
    let uri = url.parse::<Uri>().map_err(|_| Error::invalid(Kind::Request, "the URL is not valid"))?;
    Ok((Origin::of(&uri)?, uri.path().to_owned()))
}

fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

impl Default for CookieJar {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds stored cookies. Cookies that no server could have set, and those that have expired, are left out.
impl Extend<Cookie> for CookieJar {
    fn extend<I: IntoIterator<Item = Cookie>>(&mut self, cookies: I) {
        let now = self.now();
        let valid: Vec<_> = cookies.into_iter().filter(rules::is_valid).collect();
        let mut jar = self.0.jar.lock();
        for cookie in valid {
            jar.put(cookie, true, now);
        }
    }
}

impl Serialize for CookieJar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.cookies().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CookieJar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut jar = Self::new();
        jar.extend(Vec::<Cookie>::deserialize(deserializer)?);
        Ok(jar)
    }
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar").field("cookies", &self.cookies().len()).finish_non_exhaustive()
    }
}
