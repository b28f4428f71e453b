//! What has to come of it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What has to come of it. A count that is not said is 0; a bound that is not said is none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Expect {
    /// So many requests have their answers.
    pub answered: usize,
    /// So many failed, by the name of the failure: `rejected`, `server_error`.
    pub failed: BTreeMap<String, usize>,
    /// So many were not sent, and come back to the caller.
    pub returned: usize,
    /// Why the whole stopped, by the same names.
    pub stopped: Option<String>,
    /// The server has seen so many calls at most.
    pub sends_at_most: Option<usize>,
    /// Of those it has refused so many for their rate at most.
    pub refused_at_most: Option<usize>,
    /// So many were under way at the server at the same time, at least.
    pub at_once_at_least: Option<usize>,
    /// The same, at most.
    pub at_once_at_most: Option<usize>,
    /// So many requests were billed more than once, at most.
    pub billed_twice_at_most: usize,
    /// So many outcomes say that they may be duplicates, at most.
    pub possible_duplicates_at_most: usize,
    /// The server has seen one request so often at most.
    pub attempts_at_most: Option<u32>,
    /// It took so many seconds at most.
    pub seconds_at_most: Option<f64>,
    /// It took so many seconds at least.
    pub seconds_at_least: Option<f64>,
}
