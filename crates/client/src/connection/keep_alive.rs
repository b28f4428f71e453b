//! What a server says about keeping a connection open: `Connection` and `Keep-Alive`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Version, header};

use crate::fields::has_field;

/// What a server says about keeping a connection. (RFC 9112 does not define `Keep-Alive`; RFC 2068, section 19.7.1,
/// does.)
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeepAlive {
    /// How long the connection may be idle. A margin is already subtracted.
    pub(crate) timeout: Option<Duration>,
    /// How many more requests the connection takes.
    pub(crate) max: Option<u32>,
}

impl KeepAlive {
    /// Takes over what the head of a reply says.
    pub(crate) fn update(&mut self, version: Version, headers: &HeaderMap) {
        if is_last(version, headers) {
            self.max = Some(0);
            return;
        }
        self.update_parameters(headers);
    }

    fn update_parameters(&mut self, headers: &HeaderMap) {
        static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
        if !has_field(headers, &KEEP_ALIVE) {
            return;
        }
        let Some(parameters) = headers.get(&KEEP_ALIVE).and_then(|value| value.to_str().ok()) else { return };
        for parameter in parameters.split(',') {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let Ok(value) = value.trim().trim_matches('"').parse::<u32>() else { continue };
            match name.trim() {
                name if name.eq_ignore_ascii_case("timeout") => {
                    self.timeout = Some(sooner(Duration::from_secs(value.into())));
                }
                name if name.eq_ignore_ascii_case("max") => self.max = Some(value),
                _ => {}
            }
        }
    }
}

/// Whether the server closes the connection after this reply (RFC 9112, section 9.3).
fn is_last(version: Version, headers: &HeaderMap) -> bool {
    let says = |option: &str| {
        let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(option))
    };
    match version {
        Version::HTTP_11 => has_field(headers, &header::CONNECTION) && says("close"),
        Version::HTTP_10 => says("close") || !says("keep-alive"),
        _ => false,
    }
}

/// The time after which a server closes, less a second or half of it, so that both sides never act at the same
/// moment.
pub(crate) fn sooner(time: Duration) -> Duration {
    time - (time / 2).min(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_with_its_margin() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", http::HeaderValue::from_static(text));
            let mut keep_alive = KeepAlive::default();
            keep_alive.update_parameters(&headers);
            (keep_alive.timeout, keep_alive.max)
        };
        assert_eq!(read("timeout=5, max=100"), (Some(Duration::from_secs(4)), Some(100)));
        assert_eq!(read("MAX=0,Timeout=\"1\""), (Some(Duration::from_millis(500)), Some(0)));
        assert_eq!(read("timeout=-1, max, =, ;"), (None, None));
    }

    #[test]
    fn a_reply_that_ends_its_connection_leaves_no_more_requests() {
        let max = |version: Version, connection: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in connection {
                headers.append(header::CONNECTION, http::HeaderValue::from_static(value));
            }
            let mut keep_alive = KeepAlive::default();
            keep_alive.update(version, &headers);
            keep_alive.max
        };
        assert_eq!(max(Version::HTTP_11, &[]), None);
        assert_eq!(max(Version::HTTP_11, &["keep-alive", "upgrade, closed"]), None);
        assert_eq!(max(Version::HTTP_11, &["x", "y ,CLOSE"]), Some(0));
        assert_eq!(max(Version::HTTP_10, &[]), Some(0));
        assert_eq!(max(Version::HTTP_10, &["Keep-Alive"]), None);
        assert_eq!(max(Version::HTTP_10, &["keep-alive, close"]), Some(0));
        assert_eq!(max(Version::HTTP_2, &[]), None);
    }
}
