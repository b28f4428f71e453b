//! One attempt: a request out, a whole reply in.

use std::future::Future;

use http::StatusCode;
use outbound_client as client;
use outbound_client::{ConnectFailure, Delivery};
use outbound_provider::{Class, Fault, Signals, Terminal, Usage};
use tokio::time::Instant;

use super::{
    destination::Destination,
    error::{Error, ErrorKind},
    reply::Reply,
};

/// Sends a request once. The wire implements it, and tests replace it.
pub(crate) trait Attempt: Send + Sync {
    /// Sends the request to one destination and reads the reply to its end. The end has to come before the deadline.
    fn send(
        &self,
        to: &Destination<'_>,
        deadline: Instant,
        is_probe: bool,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// What an attempt brought that succeeded.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) usage: Option<Usage>,
    pub(crate) signals: Signals,
}

/// What an attempt brought that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) fault: Fault,
    pub(crate) delivery: Delivery,
    pub(crate) connect: Option<ConnectFailure>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) signals: Signals,
    pub(super) reply: Option<Box<Reply>>,
    pub(super) partial: Option<String>,
    pub(super) source: Option<client::Error>,
}

impl Failure {
    pub(super) fn of_fault(fault: Fault) -> Self {
        let kind = match fault.class {
            Class::RateLimited | Class::RampLimited => ErrorKind::RateLimited,
            Class::Overloaded => ErrorKind::Overloaded,
            Class::StreamBroken => ErrorKind::StreamBroken,
            Class::Unreadable => ErrorKind::Unreadable,
            Class::QuotaSpent => ErrorKind::QuotaSpent,
            Class::Terminal(Terminal::Auth) => ErrorKind::Auth,
            Class::Terminal(Terminal::Forbidden) if fault.of_account => ErrorKind::Auth,
            Class::Terminal(_) => ErrorKind::Rejected,
            _ => ErrorKind::Server,
        };
        Self {
            kind,
            fault,
            delivery: Delivery::Replied,
            connect: None,
            status: None,
            signals: Signals::default(),
            reply: None,
            partial: None,
            source: None,
        }
    }

    pub(super) fn of_client(error: client::Error) -> Self {
        let kind = match error.kind() {
            client::Kind::Config | client::Kind::Request => ErrorKind::Invalid,
            client::Kind::TooLarge => ErrorKind::Rejected,
            client::Kind::Protocol if crate::verdict::is_unreadable_head(&error) => ErrorKind::Rejected,
            client::Kind::Timeout => ErrorKind::Timeout,
            _ => ErrorKind::Connection,
        };
        let class = crate::verdict::class(&error);
        let (delivery, connect) = (error.delivery(), error.connect_failure());
        Self { kind, delivery, connect, source: Some(error), ..Self::of_fault(Fault::new(class)) }
    }

    pub(super) fn stalled(message: String) -> Self {
        let mut fault = Fault::new(Class::StreamBroken);
        fault.message = Some(message);
        Self { kind: ErrorKind::Timeout, ..Self::of_fault(fault) }
    }

    /// Whether the server may have processed the request. It did not if it never received the request, or if an error
    /// status refused it for its rate, for an overload, for the key or the money, or for its content. The same refusal
    /// inside a stream proves nothing: a part of the answer may have come before it.
    pub(crate) fn maybe_processed(&self) -> bool {
        let refused_unprocessed = self.fault.of_account
            || matches!(
                self.fault.class,
                Class::RateLimited | Class::RampLimited | Class::Overloaded | Class::Terminal(_)
            );
        !(self.delivery == Delivery::NotSent || (refused_unprocessed && self.is_refused_by_status()))
    }

    /// Whether the deadline of the request ended the attempt. An attempt has the deadline as its total limit, and no
    /// other total limit.
    pub(crate) fn is_past_deadline(&self) -> bool {
        let limit = self.source.as_ref().and_then(client::Error::limit);
        limit.is_some_and(|(limit, _)| limit == client::Limit::Total)
    }

    /// Whether the provider may bill it: the request may have been processed, and no error status came.
    pub(crate) fn may_be_billed(&self) -> bool {
        self.maybe_processed() && !self.is_refused_by_status()
    }

    /// Whether the same request would fail in the same way again.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.fault.class, Class::Terminal(_)) || self.fault.of_account
    }

    /// Whether it is a reply with an error status.
    pub(crate) fn is_refused_by_status(&self) -> bool {
        self.status.is_some_and(|status| !status.is_success())
    }

    /// What happened, as one sentence: for the error, and for the record of the last attempt.
    pub(crate) fn message(&self) -> String {
        match (&self.source, &self.status) {
            (Some(error), _) => with_causes(error),
            (None, Some(status)) => format!("status {}: {}", status.as_u16(), self.fault),
            (None, None) => self.fault.to_string(),
        }
    }

    pub(crate) fn into_error(self, kind: ErrorKind, message: String) -> Error {
        let terminal = self.is_final();
        let error = Error::new(kind, message)
            .with_code(self.fault.code, terminal)
            .with_reply(self.reply)
            .with_partial(self.partial);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// An error with its causes, joined into one sentence.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
