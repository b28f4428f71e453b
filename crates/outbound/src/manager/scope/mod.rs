//! The state that requests share: of an origin, of an account with its key, and of its models.
//!
//! | level | is | knows |
//! |---|---|---|
//! | [`Reachability`] | an origin | whether it can be reached |
//! | [`Account`] | an origin and a key | the configured limits, whether key and money are good, the retry budget |
//! | [`Model`] | an account and a model | the limits learnt from replies, the gate of a refusal, overloads and failures |
//!
//! Limits that replies report belong to the account, until the readings of its models contradict each other.
//!
//! One admission asks all three levels at once. A request that may not be sent holds nothing.

mod account;
mod breaker;
mod call;
mod endpoint;
mod fair_queue;
mod health;
mod model;
mod overload;
mod quota;
mod reachability;
mod sharing;
mod silence;
mod stopped;

pub(crate) use self::{
    account::Account,
    call::{Call, Scope, ScopeDecision, ScopeFailure, ScopePermit},
    fair_queue::{QueueClass, QueuePosition},
    model::Model,
    reachability::Reachability,
    silence::watch,
};
pub use self::{
    endpoint::{Endpoint, ModelLimits},
    stopped::Stopped,
};
