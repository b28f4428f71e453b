//! Async queues that lose nothing: pop, lease, join, close, worker pools.
#![forbid(unsafe_code)]
