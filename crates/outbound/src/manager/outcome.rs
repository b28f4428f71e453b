//! Outcomes: what came of a request.

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

/// What came of one request. Every request has exactly one outcome.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Its index among the requests of its batch, from 0. Outside a batch 0.
    pub index: usize,
    /// The id that the caller gave it.
    pub id: Option<String>,
    /// The reply, or why there is none.
    pub result: Result<Reply, Error>,
    /// How often it was sent, or may have been. Attempts that provably sent nothing are not counted.
    pub sends: u32,
    /// How many sends were charged against `max_attempts`. Not charged are refusals for the rate, overloads, and probes
    /// of an outage.
    pub charged: u32,
    /// How many of the sends were refused for the rate (429).
    pub refused: u32,
    /// The route it ended on: 0 is its own, 1 its first [fallback](Request::fallback). Attempts on all routes are in
    /// [`attempts`](Self::attempts).
    pub route: usize,
    /// Tokens, if the provider reported them.
    pub usage: Option<Usage>,
    /// What its answer cost, where its model has a [price](super::RequestManagerBuilder::prices).
    pub cost: Option<Money>,
    /// Where the answer came from, if the request made no call of its own. Tokens and cost are empty then.
    pub reused: Option<Reused>,
    /// Time spent waiting for admission and between attempts.
    pub waited: Duration,
    /// Time from `send` or `submit` to the end.
    pub elapsed: Duration,
    /// It was sent again after an earlier send may have been processed, and nothing proves that it was not.
    pub possible_duplicate: bool,
    /// Its attempts in order, at most 32. If there were more, the first and the last are kept.
    pub attempts: Vec<AttemptRecord>,
    /// The request itself, if it was never sent: because its model or its endpoint was stopped, because it was
    /// cancelled, or because the manager was shut down.
    pub unsent: Option<Request>,
}

impl Outcome {
    /// The sort of failure. `None` for a success.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        self.result.as_ref().err().map(Error::kind)
    }
}

/// One attempt of a request, in [`Outcome::attempts`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// When it began, counted from the start of the request.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
    /// Whether the server received it: no, perhaps, or yes.
    pub delivery: Delivery,
    /// The status of the reply, if there was one.
    pub status: Option<StatusCode>,
    /// How it failed. `None` if it brought the answer.
    pub failure: Option<ErrorKind>,
    /// Whether it counted against `max_attempts`.
    pub charged: bool,
    /// Its route: 0 is the request's own, 1 its first [fallback](Request::fallback).
    pub route: usize,
}
