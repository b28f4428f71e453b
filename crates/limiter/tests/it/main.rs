//! The tests of the public behaviour, on tokio's paused clock.

mod aimd;
mod auto;
mod concurrency;
mod keyed;
mod nested;
mod nested_model;
mod quota;
mod quota_gate;
mod quota_gate_again;
mod quota_granted;
mod quota_named;
mod quota_order;
mod quota_readings;
mod quota_server;
mod quota_set;
mod quota_signals;
mod quota_sliding;
mod quota_windows;
mod rate;
mod rate_model;
mod run;
mod strict;
mod support;
mod threads;
mod types;
