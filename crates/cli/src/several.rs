//! One batch on several machines: its lines and its answers are in a Postgres database.
//!
//! | module | is |
//! |---|---|
//! | `store` | the batch in the database, and what is said while the database is away |
//! | `load` | puts the lines of the input into the batch |
//! | `claims`, `feed`, `keep` | the lines that this process has taken; how it takes them, and how it keeps them |
//! | `budget` | the part of the batch's budget that this process has taken |
//! | `log` | records each request before it is sent, many with one call |
//! | `work` | sends what is taken, and writes the answers into the batch |
//! | `team` | reports once a second, and follows what `ctl` says to all |
//! | `run`, `export`, `status`, `ctl` | the commands |
//!
//! The rules of a run hold: what gets a line in an output file is finished with exactly that line, and what is for a later run is
//! put back. A process that dies loses its leases after a time, and others send its requests, marked as possible duplicates where
//! they may have been sent.

mod budget;
mod claims;
mod ctl;
mod export;
mod feed;
mod keep;
mod load;
mod log;
mod machine;
mod run;
mod status;
mod store;
mod team;
mod work;

pub(crate) use self::{ctl::ctl, export::export, run::run, status::status};

#[cfg(test)]
mod tests;
