//! The simulator as its clients see it: bytes over a pipe or a socket, and the ledger.

mod support;

mod auto_traits;
mod batching;
mod chance;
mod chat;
mod connections;
mod deployments;
mod dialect_faults;
mod dialects;
mod faults;
mod keys;
mod ledger;
mod messages;
mod models;
mod oracle;
mod others;
mod plans;
mod quotas;
mod refusals;
mod scenarios;
mod settings;
mod streams;
mod troubles;
