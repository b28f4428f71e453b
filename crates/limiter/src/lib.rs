//! Concurrency limits, rates and quotas that are fair and exact.
#![forbid(unsafe_code)]
