//! The client against servers that behave and servers that do not.

mod builder;
mod delivery;
mod limits;
mod pool;
mod requests;
mod support;
