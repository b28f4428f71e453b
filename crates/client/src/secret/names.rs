//! The names of headers and of query keys that carry secrets.

use http::{HeaderMap, HeaderName};

/// The headers and query keys that carry a secret of their origin.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// The names that the client's caller declared.
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) query: Vec<String>,
}

impl Secrets {
    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        is_secret(name.as_str()) || self.headers.contains(name)
    }

    /// Marks secret values as sensitive. Then no `Debug` shows them, and HTTP/2's header table leaves them out (RFC
    /// 7541, section 7.1.3).
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        for (name, value) in headers {
            if self.has(name) {
                value.set_sensitive(true);
            }
        }
    }
}

/// Whether a header with this name, in lower case, carries a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    NAMES.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// HTTP's own names, and those of vendors that do not say what they are.
const NAMES: [&str; 20] = [
    "authorization",
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    // Names that end with `-key`. The ending alone does not decide, because `idempotency-key` has it too.
    "dd-application-key",
    "fastly-key",
    "ocp-apim-subscription-key",
    "x-appwrite-key",
    "x-functions-key",
    "x-insert-key",
    "x-key",
    "x-license-key",
    "x-rapidapi-key",
    // Other names.
    "helicone-auth",
    "x-honeycomb-team",
    "x-jfrog-art-api",
    "x-sentry-auth",
    "x-wsse",
];

/// The endings of vendors' names that do say it: `x-api-key`, `x-goog-api-key`, `private-token`, `x-vault-token`.
const ENDINGS: [&str; 11] = [
    "-authorization",
    "-password",
    "-secret",
    "-token",
    "access-key",
    "api-key",
    "api_key",
    "apikey",
    "auth-key",
    "encryption-key",
    "master-key",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_well_known_vendors_are_secret_and_those_of_no_secrets_are_not() {
        for name in [
            "api-key",
            "apikey",
            "authorization",
            "cf-access-client-secret",
            "cookie",
            "dd-api-key",
            "ocp-apim-subscription-key",
            "private-token",
            "proxy-authorization",
            "x-algolia-api-key",
            "x-amz-security-token",
            "x-api-key",
            "x-auth-key",
            "x-auth-token",
            "x-aws-ec2-metadata-token",
            "x-cmc_pro_api_key",
            "x-consul-token",
            "x-csrf-token",
            "x-goog-api-key",
            "x-goog-encryption-key",
            "x-hasura-admin-secret",
            "x-mbx-apikey",
            "x-parse-master-key",
            "x-shopify-access-token",
            "x-subscription-token",
            "x-vault-token",
            "xi-api-key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["accept", "content-type", "idempotency-key", "sec-websocket-key", "x-request-id", "etag"]
        {
            assert!(!is_secret(name), "{name}");
        }
    }
}
