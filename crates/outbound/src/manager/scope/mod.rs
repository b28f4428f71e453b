//! What requests share: the way to an origin, an account with its key, and the models behind it.
//!
//! | level | is | knows |
//! |---|---|---|
//! | [`Reach`] | an origin | whether it can be reached |
//! | [`Account`] | an origin and a key | the limits the user told, whether key and money are good, the budget for extra calls |
//! | [`Model`] | an account and a model | the limits learnt from replies, the gate of a refusal, overloads and failures |
//!
//! What replies say about limits is the account's until the readings of its models contradict each other.
//!
//! One admission asks all three: who may not go holds nothing.

mod account;
mod call;
mod config;
mod health;
mod line;
mod model;
mod quota;
mod reach;
mod sharing;
mod silence;
mod stop;

pub(crate) use self::{
    account::Account,
    call::{Ask, Call, Failed, Pass, Scope},
    line::{Order, Standing},
    model::Model,
    reach::Reach,
    silence::watch,
};
pub use self::{
    config::{Endpoint, ModelLimits},
    stop::Stopped,
};
