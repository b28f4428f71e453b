//! Loom models of the quota limiter.

#[cfg(outbound_loom)]
mod loom;
