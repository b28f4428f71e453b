//! The `outbound` command.

fn main() {}
