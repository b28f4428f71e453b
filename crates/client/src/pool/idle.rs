use std::time::Duration;

use http::{HeaderMap, HeaderName, Version, header, response};
use tokio::time::Instant;

use crate::connection::Connection;

/// An HTTP/1.1 connection without a request.
pub(super) struct Idle {
    pub(super) connection: Connection,
    pub(super) since: Instant,
    /// When it is closed if nobody has used it.
    pub(super) expires: Option<Instant>,
}

impl Idle {
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

/// What a server says about keeping a connection. (RFC 9112 leaves the field to RFC 2068, section 19.7.1.)
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeepAlive {
    /// For how long it may be idle, with a margin taken off.
    pub(crate) timeout: Option<Duration>,
    /// How many more requests it takes.
    pub(crate) max: Option<u32>,
}

impl KeepAlive {
    /// Takes over what the head of a reply says.
    pub(crate) fn update(&mut self, head: &response::Parts) {
        if is_last(head.version, &head.headers) {
            self.max = Some(0);
            return;
        }
        self.update_parameters(&head.headers);
    }

    fn update_parameters(&mut self, headers: &HeaderMap) {
        const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
        let Some(parameters) = headers.get(KEEP_ALIVE).and_then(|value| value.to_str().ok()) else { return };
        for parameter in parameters.split(',') {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let Ok(value) = value.trim().trim_matches('"').parse::<u32>() else { continue };
            match name.trim() {
                name if name.eq_ignore_ascii_case("timeout") => {
                    self.timeout = Some(below(Duration::from_secs(value.into())));
                }
                name if name.eq_ignore_ascii_case("max") => self.max = Some(value),
                _ => {}
            }
        }
    }
}

/// Whether the server closes the connection behind this reply (RFC 9112, section 9.3).
fn is_last(version: Version, headers: &HeaderMap) -> bool {
    let says = |option: &str| {
        let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(option))
    };
    match version {
        Version::HTTP_11 => headers.contains_key(header::CONNECTION) && says("close"),
        Version::HTTP_10 => says("close") || !says("keep-alive"),
        _ => false,
    }
}

/// At which ages a server was seen to close idle connections, and the age up to which one is used.
///
/// A connection is used up to a margin below the youngest of the last four. That forgets: a restart, which closes
/// connections of any age, is overruled by the next four closings, and where a server lets a connection be for as long
/// as the client keeps one, that counts as one as well.
#[derive(Default)]
pub(super) struct IdleAges {
    seen: [Option<Duration>; 4],
    newest: usize,
    at: Option<Instant>,
    limit: Option<Duration>,
}

impl IdleAges {
    /// A server that closes after a reply does so at once, and no server's idle time is as short as this.
    const SHORTEST: Duration = Duration::from_millis(100);
    /// Closings within this time are one event.
    const TOGETHER: Duration = Duration::from_secs(1);

    /// The age up to which an idle connection is used, if the server was seen to close one.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The server closed a connection that was idle for `age`.
    pub(super) fn closed(&mut self, age: Duration, now: Instant) {
        if age < Self::SHORTEST {
            return;
        }
        let together = self.at.is_some_and(|at| now.duration_since(at) < Self::TOGETHER);
        if !together {
            self.at = Some(now);
            self.newest = (self.newest + 1) % self.seen.len();
        }
        let seen = &mut self.seen[self.newest];
        *seen = Some(seen.filter(|_| together).map_or(age, |seen| seen.min(age)));
        self.limit = self.seen.iter().flatten().min().map(|age| below(*age));
    }

    /// The client closed a connection that had been idle for `age`, and the server had not.
    pub(super) fn outlasted(&mut self, age: Duration, now: Instant) {
        if self.limit.is_some() {
            self.closed(age, now);
        }
    }
}

/// A time at which a server closes, less a second or half of it, so that both sides never act at the same moment.
fn below(time: Duration) -> Duration {
    time - (time / 2).min(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_limit_is_below_the_youngest_of_four() {
        let start = Instant::now();
        let mut ages = IdleAges::default();
        assert_eq!(ages.limit(), None);
        ages.outlasted(secs(90), start);
        assert_eq!(ages.limit(), None, "nothing was ever closed");
        ages.closed(secs(5), start);
        assert_eq!(ages.limit(), Some(secs(4)));
        ages.closed(secs(1), start + secs(10));
        assert_eq!(ages.limit(), Some(Duration::from_millis(500)));
        for (event, age) in [(2, 60), (3, 60), (4, 60)] {
            ages.closed(secs(age), start + secs(10 * event));
            assert_eq!(ages.limit(), Some(Duration::from_millis(500)), "{event}");
        }
        ages.outlasted(secs(90), start + secs(50));
        assert_eq!(ages.limit(), Some(secs(59)), "what a restart taught is forgotten");
    }

    #[test]
    fn closings_at_one_time_are_one_and_those_after_a_reply_none() {
        let start = Instant::now();
        let mut ages = IdleAges::default();
        ages.closed(Duration::from_millis(99), start);
        assert_eq!(ages.limit(), None);
        ages.closed(secs(2), start);
        for age in 3..50 {
            ages.closed(secs(age), start + Duration::from_millis(999));
        }
        assert_eq!(ages.limit(), Some(secs(1)));
    }

    #[test]
    fn the_header_is_read_with_its_margin() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", http::HeaderValue::from_static(text));
            let mut keep_alive = KeepAlive::default();
            keep_alive.update_parameters(&headers);
            (keep_alive.timeout, keep_alive.max)
        };
        assert_eq!(read("timeout=5, max=100"), (Some(secs(4)), Some(100)));
        assert_eq!(read("MAX=0,Timeout=\"1\""), (Some(Duration::from_millis(500)), Some(0)));
        assert_eq!(read("timeout=-1, max, =, ;"), (None, None));
    }
}
