//! The command from outside: what it reads, writes, says and exits with.

mod exits;
mod interrupts;
mod progress;
mod report;
mod runs;
mod summary;
mod support;
mod trust;
