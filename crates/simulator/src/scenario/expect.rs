//! What the result of a scenario has to be.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the result has to be. A missing count is 0. A missing bound means no bound.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Expect {
    /// How many requests have their answers.
    pub answered: usize,
    /// How many failed, by the name of the failure: `rejected`, `server_error`.
    pub failed: BTreeMap<String, usize>,
    /// How many were not sent and come back to the caller.
    pub returned: usize,
    /// Why the batch stopped, by the same names.
    pub stopped: Option<String>,
    /// The most calls that the server may see.
    pub sends_at_most: Option<usize>,
    /// The most calls that it may refuse for their rate.
    pub refused_at_most: Option<usize>,
    /// The least number of calls that are under way at the server at one time.
    pub at_once_at_least: Option<usize>,
    /// The most calls that are under way at the server at one time.
    pub at_once_at_most: Option<usize>,
    /// The most requests that are billed more than once.
    pub billed_twice_at_most: usize,
    /// The most outcomes that say that they may be duplicates.
    pub possible_duplicates_at_most: usize,
    /// The most often that the server may see one request.
    pub attempts_at_most: Option<u32>,
    /// The most seconds that it may take.
    pub seconds_at_most: Option<f64>,
    /// The least seconds that it may take.
    pub seconds_at_least: Option<f64>,
}
