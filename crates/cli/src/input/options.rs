//! The options of one line, in its member `outbound`.

use std::time::Duration;

use outbound::{Request, Route};
use serde::{Deserialize, Serialize};

/// An unknown member is an error. It would otherwise be ignored without a word.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    /// Other models, in the order in which they are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fallback: Vec<String>,
}

impl Options {
    /// What is wrong with them, if anything.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        let time = self.deadline.map(Duration::try_from_secs_f64);
        let no_time = time.is_some_and(|time| !time.is_ok_and(|time| !time.is_zero()));
        let no_model = self.fallback.iter().any(String::is_empty);
        let no_attempt = self.max_attempts == Some(0);
        match () {
            () if no_time => Some("`outbound.deadline` must be a number of seconds, more than zero"),
            () if no_attempt => Some("`outbound.max_attempts` must be more than zero"),
            () if no_model => Some("`outbound.fallback` has a model without a name"),
            () => None,
        }
    }

    pub(super) fn apply(self, mut request: Request) -> Request {
        if let Some(priority) = self.priority {
            request = request.priority(priority);
        }
        if let Some(tenant) = self.tenant {
            request = request.tenant(tenant);
        }
        if let Some(time) = self.deadline.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            request = request.deadline(time);
        }
        if let Some(attempts) = self.max_attempts {
            request = request.max_attempts(attempts);
        }
        self.fallback.into_iter().fold(request, |request, model| request.fallback(Route::model(model)))
    }
}
