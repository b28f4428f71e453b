mod builder;

use std::{fmt, sync::Arc};

use http::{HeaderMap, Method};

pub use self::builder::ClientBuilder;
use crate::{
    error::{Error, Kind},
    limits::Limits,
    pool::{Origins, Pool},
    request::RequestBuilder,
    target,
};

/// An HTTP client: a pool of connections, and what all its requests have in common.
///
/// A clone is another handle on the same pool. Connections live in tasks of the runtime that dialled them; those that
/// are idle, and dials nobody waits for, end when the last handle and the last future and reply of it are gone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    origins: Arc<Origins>,
    base: Option<Base>,
    headers: HeaderMap,
    limits: Arc<Limits>,
    timings: bool,
}

struct Base {
    pool: Arc<Pool>,
    path: String,
}

impl Client {
    /// Starts to build a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// The limits of requests that have none of their own.
    pub fn limits(&self) -> Limits {
        *self.0.limits
    }

    /// Starts a request to a path under the base URL, or to an absolute `http` or `https` URL.
    ///
    /// A path is appended to the base URL's own: it cannot leave the origin nor climb above the base path, and a `.`
    /// or `..` segment, a leading `//`, a backslash or a fragment in it is an error. The client's key and default
    /// headers go with every request to the base URL's origin, however it was named, and with none to another. What
    /// may not stand in a URL is percent-encoded; what is encoded already stays as it is.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let target = self.target(url);
        let home = match (&target, &self.0.base) {
            (Ok((pool, _)), Some(base)) => Arc::ptr_eq(pool, &base.pool),
            _ => true,
        };
        let mut headers = HeaderMap::new();
        if home && !self.0.headers.is_empty() {
            // Room for a handful more, so that a request's own headers do not make it grow.
            headers.reserve(self.0.headers.len() + 8);
            for (name, value) in &self.0.headers {
                headers.insert(name.clone(), value.clone());
            }
        }
        RequestBuilder::new(method, target, headers, self.0.limits.clone(), self.0.timings)
    }

    /// Starts a GET. See [`request`](Self::request).
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Starts a POST. See [`request`](Self::request).
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Starts a PUT. See [`request`](Self::request).
    pub fn put(&self, url: &str) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// Starts a DELETE. See [`request`](Self::request).
    pub fn delete(&self, url: &str) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.0.origins
    }

    pub(crate) fn target(&self, url: &str) -> Result<(Arc<Pool>, String), Error> {
        let base = self.0.base.as_ref();
        if let Some((origin, target)) = target::absolute(url)? {
            return match base {
                Some(base) if base.pool.origin == origin => Ok((base.pool.clone(), target)),
                _ => Ok((self.0.origins.pool(origin)?, target)),
            };
        }
        match base {
            Some(base) => Ok((base.pool.clone(), target::join(&base.path, url)?)),
            None => Err(Error::invalid(Kind::Request, "a path needs a client with a base URL")),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.0.base.as_ref().map(|base| &base.pool))
            .field("headers", &self.0.headers.keys().collect::<Vec<_>>())
            .field("limits", &self.0.limits)
            .field("origins", &self.0.origins)
            .finish()
    }
}

impl Base {
    fn new(url: &str, origins: &Origins) -> Result<Self, Error> {
        let not_absolute =
            || Error::invalid(Kind::Config, "the base URL is not an absolute http or https URL");
        let (origin, path) = target::absolute(url)?.ok_or_else(not_absolute)?;
        Ok(Self { path: target::base(&path)?, pool: origins.pool(origin)? })
    }
}
