//! The command from outside: what it reads, writes and prints, and its exit codes. Texts for people are snapshots.

mod control;
mod crash;
mod demonstration;
mod exits;
mod forms;
mod help;
mod interrupts;
mod messages;
mod plans;
mod progress;
mod report;
mod resume;
mod runs;
mod secrets;
mod several;
mod several_job;
mod several_trouble;
mod status;
mod summary;
mod support;
mod trust;
