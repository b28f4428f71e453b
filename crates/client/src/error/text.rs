//! The messages of an error: one level, and no content of a request or a reply.

use std::fmt;

use super::{Detail, Error, Inner, Kind, Phase};
use crate::connect_failure::ConnectFailure;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let during = match self.0.phase {
            Phase::Build => "building the request",
            Phase::PoolWait => "waiting for a connection",
            Phase::Dns => "looking up the name",
            Phase::Connect => "connecting",
            Phase::Tls => "doing the TLS handshake",
            Phase::Upload => "sending the request's body",
            Phase::Head => "waiting for the reply's head",
            Phase::Body => "reading the reply's body",
            Phase::Upgraded => "speaking another protocol",
        };
        match (&self.0.detail, self.0.kind) {
            (Detail::Limit(limit, duration), _) => {
                write!(f, "the limit `{limit}` of {duration:?} passed while {during}")?;
            }
            (Detail::Bound(bound, bytes), _) => {
                write!(f, "`{bound}` of {bytes} bytes was reached while {during}")?;
            }
            (Detail::Position { line, column, .. }, _) => {
                write!(f, "the reply is not the expected JSON at line {line}, column {column}")?;
            }
            (Detail::Line(line), _) => write!(f, "line {line} of the reply is not UTF-8")?,
            (Detail::Status(reply), _) if reply.status.is_redirection() => {
                write!(
                    f,
                    "the reply's status is {}, a redirect that was not followed",
                    reply.status.as_u16()
                )?;
            }
            (Detail::Status(reply), _) => write!(f, "the reply's status is {}", reply.status.as_u16())?,
            (Detail::Redirect(text, status), _) => write!(f, "{text} (status {})", status.as_u16())?,
            (Detail::Text(text), _) => f.write_str(text)?,
            (Detail::Proxy(name), _) => write!(f, "`{name}` names a proxy that cannot be used")?,
            (Detail::Message(text), _) => f.write_str(text)?,
            (Detail::None, Kind::Connect) if self.0.phase == Phase::Dns => {
                f.write_str("no connection: the name could not be looked up")?;
            }
            (Detail::None, Kind::Connect) if self.0.connect_failure == Some(ConnectFailure::ProxyRefused) => {
                f.write_str("no connection: the proxy refuses")?;
            }
            (Detail::None, Kind::Connect) if self.0.connect_failure == Some(ConnectFailure::NotAllowed) => {
                f.write_str("no connection: the egress policy does not allow it")?;
            }
            (Detail::None, Kind::Connect) => f.write_str("no connection")?,
            (Detail::None, Kind::Tls) => f.write_str("no connection: the TLS handshake failed")?,
            (Detail::None, Kind::Closed) => write!(f, "the connection ended while {during}")?,
            (Detail::None, Kind::ClientClosed) => f.write_str("the client is closed")?,
            (Detail::None, Kind::Protocol) => write!(f, "the server broke the protocol while {during}")?,
            (Detail::None, Kind::Reset) => write!(f, "the server reset the stream while {during}")?,
            (Detail::None, Kind::Layer) => write!(f, "a layer failed while {during}")?,
            (Detail::None, Kind::RequestBody) => f.write_str("the request's body failed")?,
            (Detail::None, _) => write!(f, "failed while {during}")?,
        }
        match (&self.0.origin, &self.0.proxy) {
            (Some(origin), None) => write!(f, " ({origin})"),
            (Some(origin), Some(proxy)) => write!(f, " ({origin} through {proxy})"),
            (None, _) => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            phase,
            delivery,
            detail,
            origin,
            proxy,
            url: _,
            timings: _,
            connect_failure,
            source,
        } = &*self.0;
        let mut f = f.debug_struct("Error");
        f.field("kind", kind).field("phase", phase).field("delivery", delivery);
        match detail {
            Detail::None => &mut f,
            Detail::Text(text) => f.field("detail", text),
            Detail::Proxy(name) => f.field("variable", name),
            Detail::Message(text) => f.field("detail", text),
            Detail::Limit(limit, duration) => f.field("limit", limit).field("after", duration),
            Detail::Bound(bound, bytes) => f.field("bound", bound).field("bytes", bytes),
            Detail::Position { line, column, .. } => f.field("line", line).field("column", column),
            Detail::Line(line) => f.field("line", line),
            Detail::Status(reply) => f.field("reply", reply),
            Detail::Redirect(text, status) => f.field("detail", text).field("status", status),
        };
        if let Some(why) = connect_failure {
            f.field("connect_failure", why);
        }
        if let Some(proxy) = proxy {
            f.field("proxy", proxy);
        }
        f.field("origin", origin).field("source", source).finish()
    }
}
