//! A provider that misbehaves on request: quotas, faults, latencies and a ledger.
#![forbid(unsafe_code)]
