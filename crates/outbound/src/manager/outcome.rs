//! What came of a request.

use std::time::Duration;

use http::StatusCode;
use outbound_client::Delivery;
use outbound_provider::Usage;

use super::{
    error::{Error, ErrorKind},
    money::Money,
    reply::Reply,
    request::Request,
    reused::Reused,
};

/// What came of one request, whatever came of it: every request has exactly one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Its place among the requests of its batch, from 0; 0 outside a batch.
    pub index: usize,
    /// The name the caller gave it.
    pub id: Option<String>,
    /// The reply, or why there is none.
    pub result: Result<Reply, Error>,
    /// How often it was sent, or may have been: attempts that provably never left are not in here.
    pub sends: u32,
    /// How many of the sends were charged against `max_attempts`: all but those refused for the rate, those turned away
    /// by an overloaded provider, and probes of an outage.
    pub charged: u32,
    /// How many of the sends were refused for the rate (429).
    pub refused: u32,
    /// Which route it ended on: 0 is its own, 1 its first [fallback](Request::fallback). What was tried on the others is in
    /// [`attempts`](Self::attempts).
    pub route: usize,
    /// Tokens, as far as the provider told.
    pub usage: Option<Usage>,
    /// What its answer cost, where its model has a [price](super::RequestManagerBuilder::prices).
    pub cost: Option<Money>,
    /// Whose answer it is, if it made no call of its own. Then its tokens and its cost are not told again.
    pub reused: Option<Reused>,
    /// Time spent waiting for admission and between attempts.
    pub waited: Duration,
    /// Time from `send` or `submit` to the end.
    pub elapsed: Duration,
    /// It was sent again after an earlier send may have been processed, and nothing proves that it was not.
    pub possible_duplicate: bool,
    /// Its attempts in their order, at most 32 of them: of a longer way the first and the last.
    pub attempts: Vec<AttemptRecord>,
    /// The request itself, where it was never sent because nothing more is sent for its model or to its
    /// endpoint, or because the manager was shut down.
    pub unsent: Option<Request>,
}

impl Outcome {
    /// What sort of failure it was; `None` if it was none.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        self.result.as_ref().err().map(Error::kind)
    }
}

/// One attempt of a request, in [`Outcome::attempts`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// When it began, from the request's start on.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
    /// Whether the server has it: surely not, perhaps, or surely.
    pub delivery: Delivery,
    /// The status of the reply, if there was one.
    pub status: Option<StatusCode>,
    /// How it failed; `None` if it brought the answer.
    pub failure: Option<ErrorKind>,
    /// Whether it counted against `max_attempts`.
    pub charged: bool,
    /// On which route it was: 0 is the request's own, 1 its first [fallback](Request::fallback).
    pub route: usize,
}
