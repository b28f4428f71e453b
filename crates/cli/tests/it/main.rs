//! The command from outside: what it reads, writes, says and exits with.

mod crash;
mod exits;
mod interrupts;
mod resume;
mod runs;
mod support;
mod trust;
