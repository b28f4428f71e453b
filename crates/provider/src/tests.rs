//! Tests of private functions.

mod times;
