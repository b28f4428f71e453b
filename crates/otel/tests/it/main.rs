//! The observer with the SDK behind it: what an exporter in memory is given after runs against the simulator, on the paused
//! clock.

mod metrics;
mod spans;
mod stack;
