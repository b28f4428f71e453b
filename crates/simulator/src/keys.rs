//! Keys, and the settings of one key.

use std::{fmt, ops::Range, time::Duration};

use crate::{
    accounts::{self, Limits},
    fault::{Fault, Rule},
    others::OtherUsers,
    quota::Dimension,
};

/// The settings of one key. See [`Builder::key_with`](crate::Builder::key_with).
///
/// | setting | default |
/// |---|---|
/// | limits per minute | those of the [`Builder`](crate::Builder), for this key alone |
/// | [`other_users`](Self::other_users) | those of the [`Builder`](crate::Builder), each key has its own |
/// | [`revoked_at`](Self::revoked_at) | never |
/// | [`fault`](Self::fault), [`fault_during`](Self::fault_during) | none |
///
/// ```
/// use outbound_simulator::{KeySettings, Simulator};
///
/// // Two keys, each with an account of its own. The second may send half as much.
/// let simulator = Simulator::builder()
///     .requests_per_minute(600)
///     .key("key-of-one-account")
///     .key_with("key-of-another", KeySettings::new().requests_per_minute(300))
///     .build();
/// # let _ = simulator;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "settings do nothing until a builder has them"]
pub struct KeySettings {
    pub(crate) limits: Limits,
    pub(crate) others: Option<OtherUsers>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) revoked_at: Option<Duration>,
}

impl KeySettings {
    /// Starts with the defaults listed above.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Builder::requests_per_minute`](crate::Builder::requests_per_minute), in its place.
    pub fn requests_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::Requests, limit)
    }

    /// As [`Builder::tokens_per_minute`](crate::Builder::tokens_per_minute), in its place.
    pub fn tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::Tokens, limit)
    }

    /// As [`Builder::input_tokens_per_minute`](crate::Builder::input_tokens_per_minute), in its place.
    pub fn input_tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::InputTokens, limit)
    }

    /// As [`Builder::output_tokens_per_minute`](crate::Builder::output_tokens_per_minute), in its place.
    pub fn output_tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::OutputTokens, limit)
    }

    /// As [`Builder::other_users`](crate::Builder::other_users), in their place.
    pub fn other_users(mut self, others: OtherUsers) -> Self {
        self.others = Some(others);
        self
    }

    /// From this time after the start on, refuses the key with 401, as if it were unknown. Requests that came earlier go on.
    pub fn revoked_at(mut self, at: Duration) -> Self {
        self.revoked_at = Some(at);
        self
    }

    /// Whether the key is accepted at this time.
    pub(crate) fn is_valid_at(&self, now: Duration) -> bool {
        self.revoked_at.is_none_or(|at| now < at)
    }

    /// As [`Builder::fault`](crate::Builder::fault), for this key alone.
    pub fn fault(mut self, fault: impl Into<Fault>, probability: f64) -> Self {
        self.rules.push(Rule::Chance(fault.into(), probability));
        self
    }

    /// As [`Builder::fault_during`](crate::Builder::fault_during), for this key alone.
    pub fn fault_during(mut self, fault: impl Into<Fault>, times: Range<Duration>) -> Self {
        self.rules.push(Rule::During(fault.into(), times));
        self
    }

    fn limit(mut self, dimension: Dimension, limit: u64) -> Self {
        accounts::set(&mut self.limits, dimension, limit);
        self
    }
}

/// A key to compare with. Its `Debug` does not show it.
pub(crate) struct Key {
    secret: String,
    pub(crate) settings: KeySettings,
}

impl Key {
    pub(crate) fn new(secret: String, settings: KeySettings) -> Self {
        Self { secret, settings }
    }

    pub(crate) fn is(&self, sent: &str) -> bool {
        self.secret == sent
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.settings).finish()
    }
}
