//! The public behaviour, on the paused clock.

mod concurrency;
mod quota;
mod quota_gate;
mod quota_order;
mod quota_server;
mod quota_signals;
mod rate;
mod rate_model;
mod support;
mod threads;
mod types;
