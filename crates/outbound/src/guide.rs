//! The guide: how to use the whole, a page for each question.
//!
//! | page | answers |
//! |---|---|
//! | [`manager`] | what happens to a request, step by step, and what the manager does when it is asked to |
//! | [`failures`] | what fails, what it means, what was done about it, what to do |
//! | [`limits`] | how requests and tokens are kept within limits, what to set and what to leave alone |
//! | [`overnight`] | how to run a large batch while nobody looks, and how to go on after a crash |
//! | [`several_machines`] | how to share one batch and the limits of one key among several machines |
//! | [`streaming`] | how an answer comes item by item, when it is repeated, and how it ends |
//! | [`routes`] | how to use several keys, models and providers, and a second call beside a slow one |
//! | [`testing`] | how to test your own program against a provider that misbehaves |
//!
//! Every block of Rust in these pages is compiled and run by `cargo test -p outbound --doc`, against the provider of
//! `outbound-simulator` and mostly on tokio's paused clock. None needs a key or a network.

#[doc = include_str!("guide/manager.md")]
pub mod manager {}

#[doc = include_str!("guide/failures.md")]
pub mod failures {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[cfg(feature = "work")]
#[doc = include_str!("guide/overnight.md")]
pub mod overnight {}

#[cfg(all(feature = "work", feature = "quota_store"))]
#[doc = include_str!("guide/several_machines.md")]
pub mod several_machines {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/streaming.md")]
pub mod streaming {}

#[doc = include_str!("guide/routes.md")]
pub mod routes {}

#[cfg(test)]
mod tests;
