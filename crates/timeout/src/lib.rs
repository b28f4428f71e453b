//! Limits in time on futures and streams.
#![forbid(unsafe_code)]
