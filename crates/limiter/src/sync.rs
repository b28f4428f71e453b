//! The primitives that differ between a normal build and a loom model.

#[cfg(not(outbound_loom))]
pub(crate) use std::sync::{Arc, atomic};

#[cfg(outbound_loom)]
pub(crate) use loom::sync::{Arc, atomic};
