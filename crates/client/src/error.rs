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

/// Why a request has no answer, or not the one asked for.
///
/// [`kind`](Self::kind) says what happened, [`phase`](Self::phase) when, [`delivery`](Self::delivery) whether the
/// server can have seen the request. `Display` tells one level and names the origin at most: no path, no query, no
/// header, no key. The cause is in [`source`](StdError::source).
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
    /// A variable of the environment.
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
/// Its `Debug` shows the status and how long the body is, and nothing of what they carry.
#[derive(Clone)]
#[non_exhaustive]
pub struct ErrorReply {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The first 64 KiB of the body, as far as they came within 2 s.
    pub body: Bytes,
    /// Whether `body` is the whole of it.
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

    /// Whether the server can have seen the request.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// The status of the reply, where that is the error: [`Kind::Status`] or [`Kind::Redirect`].
    pub fn status(&self) -> Option<StatusCode> {
        match &self.0.detail {
            Detail::Status(reply) => Some(reply.status),
            Detail::Redirect(_, status) => Some(*status),
            _ => None,
        }
    }

    /// The URL that the request went to last, without its query, which may carry a key. None where the request's URL is
    /// not valid.
    pub fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// Whether a connection could not be opened, also within its limits in time: what happened before a connection was
    /// held.
    pub fn is_connect(&self) -> bool {
        self.0.connect_failure.is_some() || matches!(self.0.kind, Kind::Connect | Kind::Tls)
    }

    /// Whether the reply's status is the error.
    pub fn is_status(&self) -> bool {
        self.0.kind == Kind::Status
    }

    /// Whether the body is not the text, the JSON or the event stream that was asked for, or has a coding that cannot be
    /// undone.
    pub fn is_decode(&self) -> bool {
        matches!(self.0.kind, Kind::Decode | Kind::ContentType)
    }

    /// Whether it is a redirect that was not followed, by the policy or because it cannot be.
    pub fn is_redirect(&self) -> bool {
        self.0.kind == Kind::Redirect
    }

    /// Whether a limit in time has passed.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// The limit in time that has passed, and how long it is.
    pub fn limit(&self) -> Option<(Limit, Duration)> {
        match self.0.detail {
            Detail::Limit(limit, duration) => Some((limit, duration)),
            _ => None,
        }
    }

    /// Why there was no connection, where that is the error: in a phase of connecting ([`Dns`](Phase::Dns),
    /// [`Connect`](Phase::Connect), [`Tls`](Phase::Tls)), and only there. The request was [`NotSent`](Delivery::NotSent)
    /// then, unless a redirect had led to where there is no connection.
    pub fn connect_failure(&self) -> Option<ConnectFailure> {
        self.0.connect_failure
    }

    /// Where the request was going, if that was known.
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.as_ref()
    }

    /// The proxy on the way there, where there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.0.proxy.as_ref()
    }

    /// How long the request was in each phase, if that was asked for and no head of a reply had come.
    pub fn timings(&self) -> Option<Timings> {
        self.0.timings
    }

    /// The reply, where its status is the error.
    pub fn reply(&self) -> Option<&ErrorReply> {
        match &self.0.detail {
            Detail::Status(reply) => Some(reply),
            _ => None,
        }
    }

    /// The text around the place where a body stopped being the expected JSON, at most 80 bytes of it.
    ///
    /// It is the server's and may be anybody's secret, so neither `Display` nor `Debug` shows it: who logs it decides
    /// to. The [`source`](StdError::source) says what was found in place of what, with values from the body, and is
    /// cut at 128 characters.
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

    /// Something the caller gave cannot be used.
    pub(crate) fn invalid(kind: Kind, why: &'static str) -> Self {
        Self::new(kind, Phase::Build, Delivery::NotSent).detail(Detail::Text(why))
    }

    /// The proxy that a variable of the environment names cannot be used.
    pub(crate) fn bad_proxy(name: &'static str, why: String) -> Self {
        Self::new(Kind::Config, Phase::Build, Delivery::NotSent).detail(Detail::Proxy(name)).source_from(why)
    }

    /// The same, with the name of what it is.
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

    /// `text` is not the expected JSON; it begins on this line of the body.
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

    /// It happened to a request that a server had answered with a redirect, so something was sent.
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

    /// What a layer failed with. An error of this client, or one with such an error as its cause, keeps what that says.
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
            // What a layer did before it failed is not known.
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
