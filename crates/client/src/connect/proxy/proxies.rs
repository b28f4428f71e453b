//! Which proxy a client uses for an origin, from its own settings or from the environment.

#[cfg(test)]
mod tests;

use super::{Exceptions, Proxy};
use crate::{error::Error, origin::Origin};

/// Which proxy a client uses for which origin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Choice>,
    https: Option<Choice>,
    except: Exceptions,
}

#[derive(Clone, Debug)]
enum Choice {
    Proxy(Proxy),
    /// A variable of the environment names a proxy that cannot be used: the variable, and the reason. Requests that
    /// would use this proxy fail. To send them directly would ignore what the user asked for.
    Unusable(&'static str, String),
}

impl Proxies {
    /// One proxy for all origins.
    pub(crate) fn one(proxy: Proxy) -> Self {
        let except = proxy.exceptions().clone();
        let choice = Choice::Proxy(proxy);
        Self { http: Some(choice.clone()), https: Some(choice), except }
    }

    /// The proxies that this process's environment names.
    pub(crate) fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// By curl's rules: the name in lower case counts before the one in capitals, an empty value counts as not set,
    /// and the variable of a scheme counts before `all_proxy`.
    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &'static str| {
            let value = variable(name).map(|value| value.trim().to_owned())?;
            (!value.is_empty()).then_some((name, value))
        };
        // A web server passes the request header `Proxy` to its CGI programs as `HTTP_PROXY`.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http = value("http_proxy").or_else(|| value("HTTP_PROXY").filter(|_| !is_cgi));
        let https = value("https_proxy").or_else(|| value("HTTPS_PROXY"));
        let all = value("all_proxy").or_else(|| value("ALL_PROXY"));
        let except = value("no_proxy").or_else(|| value("NO_PROXY"));
        let choice = |(name, url): (&'static str, String)| match Proxy::new(&url) {
            Ok(proxy) => Choice::Proxy(proxy),
            Err(error) => Choice::Unusable(name, error.to_string()),
        };
        Self {
            http: http.or_else(|| all.clone()).map(choice),
            https: https.or(all).map(choice),
            except: except.map(|(_, list)| Exceptions::parse(&list)).unwrap_or_default(),
        }
    }

    /// The proxy for an origin, if there is one.
    pub(crate) fn find(&self, origin: &Origin) -> Result<Option<Proxy>, Error> {
        let choice = if origin.is_https() { &self.https } else { &self.http };
        let Some(choice) = choice.as_ref().filter(|_| !self.except.cover(origin.host(), origin.port()))
        else {
            return Ok(None);
        };
        match choice {
            Choice::Proxy(proxy) => Ok(Some(proxy.clone())),
            Choice::Unusable(name, why) => Err(Error::bad_proxy(name, why.clone()).at(origin)),
        }
    }
}
