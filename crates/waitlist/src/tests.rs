//! The tests: pure order and lock tests in a normal build, models under loom.

#[cfg(not(outbound_loom))]
mod lock;
#[cfg(outbound_loom)]
mod loom;
#[cfg(not(outbound_loom))]
mod order;
