//! The options of `sim`.

use std::path::PathBuf;

use clap::Args;

use super::positive;

#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// Port to listen on, on 127.0.0.1. With 0 the system chooses a free one. The address is printed.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,

    /// The key that requests must have; any other is refused. [default: no key is needed]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Requests per minute it grants.
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = positive::<u64>)]
    pub(crate) rpm: u64,

    /// Tokens per minute it grants.
    #[arg(long, value_name = "N", default_value_t = 600_000, value_parser = positive::<u64>)]
    pub(crate) tpm: u64,

    /// Misbehave, with the faults of `run --simulate`.
    #[arg(long)]
    pub(crate) faults: bool,

    /// Seed of the random numbers: the same seed gives the same delays and faults.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// A scenario (TOML) whose `[server]` says how to behave, such as those in crates/simulator/scenarios.
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["rpm", "tpm", "faults", "seed"])]
    pub(crate) scenario: Option<PathBuf>,

    /// A file for a record of all received requests, one JSON object on each line. It is written at the end.
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
}
