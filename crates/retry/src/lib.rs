//! Trying again: when, how long to wait, when to stop, what it may cost.
#![forbid(unsafe_code)]
