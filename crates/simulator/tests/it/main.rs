//! The simulator as its clients see it: bytes over a pipe or a socket, and the ledger.

mod support;

mod auto_traits;
mod batching;
mod chance;
mod chat;
mod connections;
mod dialects;
mod faults;
mod ledger;
mod messages;
mod oracle;
mod plans;
mod quotas;
mod refusals;
mod settings;
mod streams;
mod troubles;
