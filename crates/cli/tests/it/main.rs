//! The command from outside: what it reads, writes, says and exits with.

mod control;
mod crash;
mod demonstration;
mod exits;
mod forms;
mod interrupts;
mod plans;
mod progress;
mod report;
mod resume;
mod runs;
mod secrets;
mod status;
mod summary;
mod support;
mod trust;
