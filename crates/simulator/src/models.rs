//! The settings of one model.

use std::{ops::Range, time::Duration};

use crate::{
    accounts::{self, Limits},
    fault::{Fault, Rule},
    latency::{self, Latency},
    others::OtherUsers,
    quota::Dimension,
};

/// The settings of one model. See [`Builder::model`](crate::Builder::model).
///
/// | setting | default |
/// |---|---|
/// | limits per minute | those of the key, in the key's account, together with its other models |
/// | [`other_users`](Self::other_users) | none |
/// | [`latency`](Self::latency), [`time_to_first_token`](Self::time_to_first_token) | those of the [`Builder`](crate::Builder) |
/// | [`tokens_per_second`](Self::tokens_per_second) | that of the [`Builder`](crate::Builder) |
/// | [`fault`](Self::fault), [`fault_during`](Self::fault_during) | none |
///
/// A model with a limit or other users of its own has an account of its own with each key. Its requests count in that
/// account only, and its limit headers describe it. Dimensions that the model does not limit have the key's limits.
///
/// ```
/// use std::time::Duration;
/// use outbound_simulator::{Latency, ModelSettings, Simulator};
///
/// let large = ModelSettings::new().requests_per_minute(60).latency(Latency::fixed(Duration::from_secs(4)));
/// // Every other model is refused with 404.
/// let simulator = Simulator::builder()
///     .requests_per_minute(600)
///     .latency(Latency::fixed(Duration::from_secs(1)))
///     .model("small", ModelSettings::new())
///     .model("large", large)
///     .build();
/// # let _ = simulator;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "settings do nothing until a builder has them"]
pub struct ModelSettings {
    pub(crate) limits: Limits,
    pub(crate) others: Option<OtherUsers>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) latency: Option<Latency>,
    pub(crate) first_token: Option<Latency>,
    pub(crate) token_time: Option<Duration>,
}

impl ModelSettings {
    /// Starts with the defaults listed above.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Builder::requests_per_minute`](crate::Builder::requests_per_minute), for this model alone.
    pub fn requests_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::Requests, limit)
    }

    /// As [`Builder::tokens_per_minute`](crate::Builder::tokens_per_minute), for this model alone.
    pub fn tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::Tokens, limit)
    }

    /// As [`Builder::input_tokens_per_minute`](crate::Builder::input_tokens_per_minute), for this model alone.
    pub fn input_tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::InputTokens, limit)
    }

    /// As [`Builder::output_tokens_per_minute`](crate::Builder::output_tokens_per_minute), for this model alone.
    pub fn output_tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::OutputTokens, limit)
    }

    /// As [`Builder::other_users`](crate::Builder::other_users), for this model with each key.
    pub fn other_users(mut self, others: OtherUsers) -> Self {
        self.others = Some(others);
        self
    }

    /// As [`Builder::latency`](crate::Builder::latency), in its place.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = Some(latency);
        self
    }

    /// As [`Builder::time_to_first_token`](crate::Builder::time_to_first_token), in its place.
    pub fn time_to_first_token(mut self, latency: Latency) -> Self {
        self.first_token = Some(latency);
        self
    }

    /// As [`Builder::tokens_per_second`](crate::Builder::tokens_per_second), in its place.
    pub fn tokens_per_second(mut self, speed: f64) -> Self {
        self.token_time = Some(latency::of_token(speed));
        self
    }

    /// Whether its requests count apart from those of the other models of its key.
    pub(crate) fn has_account(&self) -> bool {
        !self.limits.is_empty() || self.others.is_some()
    }

    /// As [`Builder::fault`](crate::Builder::fault), for this model alone.
    pub fn fault(mut self, fault: impl Into<Fault>, probability: f64) -> Self {
        self.rules.push(Rule::Chance(fault.into(), probability));
        self
    }

    /// As [`Builder::fault_during`](crate::Builder::fault_during), for this model alone.
    pub fn fault_during(mut self, fault: impl Into<Fault>, times: Range<Duration>) -> Self {
        self.rules.push(Rule::During(fault.into(), times));
        self
    }

    fn limit(mut self, dimension: Dimension, limit: u64) -> Self {
        accounts::set(&mut self.limits, dimension, limit);
        self
    }
}
