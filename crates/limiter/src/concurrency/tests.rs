//! Loom models of the concurrency limiter.

#[cfg(outbound_loom)]
mod loom;
