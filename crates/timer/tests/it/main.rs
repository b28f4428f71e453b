//! What `Timer` promises, on tokio's paused clock unless real time is the point.

mod timer;
