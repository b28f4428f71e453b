//! A provider that misbehaves on request: quotas, faults, latencies and a ledger.
//!
//! DOC
#![forbid(unsafe_code)]

mod answer;
mod body;
mod bucket;
mod builder;
mod connection;
mod dialect;
mod draw;
mod exchange;
mod fault;
mod latency;
mod ledger;
mod provider;
mod quota;
mod refusal;
mod reply;
mod script;
mod service;
mod simulator;
mod wall;

pub use builder::{Builder, LimitHeaders};
pub use fault::Fault;
pub use latency::Latency;
pub use ledger::{Entry, Ledger, Outcome, Seen};
pub use quota::Dimension;
pub use refusal::Refusal;
pub use simulator::Simulator;
