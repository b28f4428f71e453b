//! Instructions counted by callgrind, against gates.
//!
//! The library is what counts; it is std's alone, so that what links it measures nothing more.

pub mod callgrind;
