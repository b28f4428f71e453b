//! One HTTP request well done: pool, TLS, bodies, events, limits, and whether it was delivered.
#![forbid(unsafe_code)]
