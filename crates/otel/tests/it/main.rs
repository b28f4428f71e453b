//! Tests of the observer with the SDK: what an exporter in memory receives after runs against the simulator, on the
//! paused clock.

mod metrics;
mod spans;
mod stack;
