//! The error of a request.

mod kind;
mod text;

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

pub use self::kind::{Delivery, Kind, Phase};
use crate::{
    connect::Proxy, connect_failure::ConnectFailure, json, limits::Limit, origin::Origin,
    target::without_query, timings::Timings,
};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request has no reply, or not the reply that was asked for.
///
/// [`kind`](Self::kind) says what happened, [`phase`](Self::phase) says when, and [`delivery`](Self::delivery) says
/// whether the server may have seen the request. `Display` describes one level, and names the origin at most: no
/// path, no query, no header and no key. The cause is in [`source`](StdError::source).
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    phase: Phase,
    delivery: Delivery,
    detail: Detail,
    origin: Option<Origin>,
    proxy: Option<Proxy>,
    // Without its query.
    url: Option<Box<str>>,
    timings: Option<Timings>,
    connect_failure: Option<ConnectFailure>,
    // Shared, because one failed dial can fail several requests.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

#[derive(Clone)]
enum Detail {
    None,
    Text(&'static str),
    /// The name of an environment variable.
    Proxy(&'static str),
    Message(Box<str>),
    Limit(Limit, Duration),
    Bound(&'static str, usize),
    Position {
        line: u64,
        column: usize,
        excerpt: Box<str>,
    },
    Line(u64),
    Status(ErrorReply),
    Redirect(&'static str, StatusCode),
}

/// The reply that [`Reply::error_for_status`](crate::Reply::error_for_status) turned into an error.
///
/// Its `Debug` shows the status and the length of the body, and nothing of their content.
#[derive(Clone)]
#[non_exhaustive]
pub struct ErrorReply {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The first 64 KiB of the body, as far as they came within 2 s.
    pub body: Bytes,
    /// Whether `body` is complete.
    pub complete: bool,
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// When it happened.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// Whether the server may have seen the request.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// The status of the reply, if the status is the error: [`Kind::Status`] or [`Kind::Redirect`].
    pub fn status(&self) -> Option<StatusCode> {
        match &self.0.detail {
            Detail::Status(reply) => Some(reply.status),
            Detail::Redirect(_, status) => Some(*status),
            _ => None,
        }
    }

    /// The URL that the request was last sent to. The query is left out, because it may contain a key. `None` if the
    /// request's URL is not valid.
    pub fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// Whether no connection could be opened, including a limit that passed before a connection was held.
    pub fn is_connect(&self) -> bool {
        self.0.connect_failure.is_some() || matches!(self.0.kind, Kind::Connect | Kind::Tls)
    }

    /// Whether the reply's status is the error.
    pub fn is_status(&self) -> bool {
        self.0.kind == Kind::Status
    }

    /// Whether the body is not the text, JSON or event stream that was asked for, or has a coding that cannot be
    /// undone.
    pub fn is_decode(&self) -> bool {
        matches!(self.0.kind, Kind::Decode | Kind::ContentType)
    }

    /// Whether this is a redirect that was not followed: the policy forbids it, or it cannot be followed.
    pub fn is_redirect(&self) -> bool {
        self.0.kind == Kind::Redirect
    }

    /// Whether a limit in time has passed.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// The time limit that has passed, and its duration.
    pub fn limit(&self) -> Option<(Limit, Duration)> {
        match self.0.detail {
            Detail::Limit(limit, duration) => Some((limit, duration)),
            _ => None,
        }
    }

    /// Why there was no connection. It is set in the phases of connecting ([`Dns`](Phase::Dns),
    /// [`Connect`](Phase::Connect), [`Tls`](Phase::Tls)), and only there. The request was then
    /// [`NotSent`](Delivery::NotSent), unless a redirect had led to the origin that has no connection.
    pub fn connect_failure(&self) -> Option<ConnectFailure> {
        self.0.connect_failure
    }

    /// The origin that the request was for, if it was known.
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.as_ref()
    }

    /// The proxy on the way to the origin, if there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.0.proxy.as_ref()
    }

    /// How long each phase took, if this was asked for and the head of the reply had not come.
    pub fn timings(&self) -> Option<Timings> {
        self.0.timings
    }

    /// The reply, if its status is the error.
    pub fn reply(&self) -> Option<&ErrorReply> {
        match &self.0.detail {
            Detail::Status(reply) => Some(reply),
            _ => None,
        }
    }

    /// The text around the position where a body stopped being the expected JSON, at most 80 bytes.
    ///
    /// It comes from the server and may contain a secret, so neither `Display` nor `Debug` shows it. The caller
    /// decides whether to log it. The [`source`](StdError::source) says what was found and what was expected, with
    /// values from the body, and is cut at 128 characters.
    pub fn excerpt(&self) -> Option<&str> {
        match &self.0.detail {
            Detail::Position { excerpt, .. } => Some(excerpt),
            _ => None,
        }
    }

    pub(crate) fn new(kind: Kind, phase: Phase, delivery: Delivery) -> Self {
        Self(Box::new(Inner {
            kind,
            phase,
            delivery,
            detail: Detail::None,
            origin: None,
            proxy: None,
            url: None,
            timings: None,
            connect_failure: None,
            source: None,
        }))
    }

    /// Something that the caller gave cannot be used.
    pub(crate) fn invalid(kind: Kind, why: &'static str) -> Self {
        Self::new(kind, Phase::Build, Delivery::NotSent).detail(Detail::Text(why))
    }

    /// The proxy that an environment variable names cannot be used.
    pub(crate) fn bad_proxy(name: &'static str, why: String) -> Self {
        Self::new(Kind::Config, Phase::Build, Delivery::NotSent).detail(Detail::Proxy(name)).source_from(why)
    }

    /// The same, with a message that is made at run time.
    pub(crate) fn unusable(kind: Kind, why: impl Into<Box<str>>) -> Self {
        Self::new(kind, Phase::Build, Delivery::NotSent).message(why)
    }

    pub(crate) fn timeout(limit: Limit, duration: Duration, phase: Phase) -> Self {
        let delivery = match phase {
            Phase::Build | Phase::PoolWait | Phase::Dns | Phase::Connect | Phase::Tls => Delivery::NotSent,
            Phase::Upload | Phase::Head => Delivery::MaybeSent,
            Phase::Body | Phase::Upgraded => Delivery::Replied,
        };
        let error = Self::new(Kind::Timeout, phase, delivery).detail(Detail::Limit(limit, duration));
        match phase {
            Phase::Dns | Phase::Connect | Phase::Tls => error.failed_to_connect(ConnectFailure::TimedOut),
            _ => error,
        }
    }

    pub(crate) fn body(kind: Kind) -> Self {
        Self::new(kind, Phase::Body, Delivery::Replied)
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn during(mut self, phase: Phase) -> Self {
        self.0.phase = phase;
        self
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn delivered(mut self, delivery: Delivery) -> Self {
        self.0.delivery = delivery;
        self
    }

    pub(crate) fn too_large(bound: &'static str, bytes: usize) -> Self {
        Self::body(Kind::TooLarge).detail(Detail::Bound(bound, bytes))
    }

    /// `text` is not the expected JSON. It begins on line `first_line` of the body.
    pub(crate) fn json(error: serde_json::Error, text: &[u8], first_line: u64) -> Self {
        let line = first_line + (error.line() as u64).saturating_sub(1);
        let excerpt = json::excerpt(text, &error);
        Self::body(Kind::Decode)
            .detail(Detail::Position { line, column: error.column(), excerpt })
            .source_from(json::Mismatch(error))
    }

    pub(crate) fn not_utf8(line: u64) -> Self {
        Self::body(Kind::Decode).detail(Detail::Line(line))
    }

    pub(crate) fn of_status(reply: ErrorReply) -> Self {
        Self::body(Kind::Status).detail(Detail::Status(reply))
    }

    pub(crate) fn redirect(why: &'static str, status: StatusCode) -> Self {
        let error = Self::new(Kind::Redirect, Phase::Head, Delivery::Replied);
        error.detail(Detail::Redirect(why, status))
    }

    /// This happened to a request after a server had answered it with a redirect, so something was sent.
    pub(crate) fn after_redirect(mut self) -> Self {
        if self.0.delivery == Delivery::NotSent {
            self.0.delivery = Delivery::MaybeSent;
        }
        self
    }

    pub(crate) fn set_url(&mut self, origin: &Origin, target: &str) {
        self.0.url = Some(format!("{origin}{}", without_query(target)).into());
    }

    pub(crate) fn failed_to_connect(mut self, why: ConnectFailure) -> Self {
        self.0.connect_failure = Some(why);
        self
    }

    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(crate) fn text(self, text: &'static str) -> Self {
        self.detail(Detail::Text(text))
    }

    pub(crate) fn message(self, text: impl Into<Box<str>>) -> Self {
        self.detail(Detail::Message(text.into()))
    }

    pub(crate) fn set_timings(&mut self, timings: Timings) {
        self.0.timings = Some(timings);
    }

    pub(crate) fn set_proxy(&mut self, proxy: &Proxy) {
        self.0.proxy = Some(proxy.clone());
    }

    pub(crate) fn at<'a>(mut self, origin: impl Into<Option<&'a Origin>>) -> Self {
        if let Some(origin) = origin.into() {
            self.0.origin = Some(origin.clone());
        }
        self
    }

    /// The error of a layer. If it is an error of this client, or has one as its cause, that error's kind and
    /// delivery are kept.
    pub(crate) fn of_layer(error: BoxError, phase: Phase) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(own) => return *own,
            Err(error) => error,
        };
        let mut cause = error.source();
        while let Some(error) = cause {
            if error.is::<Self>() {
                break;
            }
            cause = error.source();
        }
        let own = match cause.and_then(|cause| cause.downcast_ref::<Self>()) {
            Some(own) => own.without_source(),
            // It is not known what a layer did before it failed.
            None if phase == Phase::Body => Self::body(Kind::Layer),
            None => Self::new(Kind::Layer, phase, Delivery::MaybeSent),
        };
        own.source_from(error)
    }

    fn without_source(&self) -> Self {
        let Inner { kind, phase, delivery, detail, origin, proxy, url, timings, connect_failure, source: _ } =
            &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            phase: *phase,
            delivery: *delivery,
            detail: detail.clone(),
            origin: origin.clone(),
            proxy: proxy.clone(),
            url: url.clone(),
            timings: *timings,
            connect_failure: *connect_failure,
            source: None,
        }))
    }

    pub(crate) fn source_from(self, source: impl Into<BoxError>) -> Self {
        self.shared_source(Arc::from(source.into()))
    }

    pub(crate) fn shared_source(mut self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        self.0.source = Some(source);
        self
    }

    fn detail(mut self, detail: Detail) -> Self {
        self.0.detail = detail;
        self
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Debug for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorReply")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
