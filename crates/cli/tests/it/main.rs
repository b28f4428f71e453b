//! The command from outside: what it reads, writes, says and exits with.

mod exits;
mod forms;
mod interrupts;
mod plans;
mod runs;
mod support;
mod trust;
