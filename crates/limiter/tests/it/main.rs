//! The public behaviour, on the paused clock.

mod concurrency;
mod rate;
mod rate_model;
mod support;
mod types;
