//! The tests of `Timer`'s guarantees. They run on tokio's paused clock, except those of real time.

mod timer;
