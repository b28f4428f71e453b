//! Sends requests out and brings every answer back.
#![forbid(unsafe_code)]
