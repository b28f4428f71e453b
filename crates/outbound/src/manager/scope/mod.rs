//! What requests share: the way to an origin, an account with its key, and the models behind it.
//!
//! | level | is | knows |
//! |---|---|---|
//! | [`Reachability`] | an origin | whether it can be reached |
//! | [`Account`] | an origin and a key | the limits the user told, whether key and money are good, the budget for extra calls |
//! | [`Model`] | an account and a model | the limits learnt from replies, the gate of a refusal, overloads and failures |
//!
//! What replies say about limits is the account's until the readings of its models contradict each other.
//!
//! One admission asks all three: who may not go holds nothing.

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
