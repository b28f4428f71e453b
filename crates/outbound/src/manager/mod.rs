//! The request manager: the pieces, composed.

mod batch;
mod builder;
mod clock;
mod convert;
mod endpoint;
mod error;
mod exchange;
mod flight;
mod lifecycle;
#[expect(clippy::module_inception, reason = "the type that the module is about")]
mod manager;
mod outcome;
mod pressure;
mod record;
mod request;
mod scope;
mod ticket;

pub use self::{
    batch::Batch,
    builder::{BuildError, RequestManagerBuilder},
    endpoint::Endpoint,
    error::{Error, ErrorKind},
    manager::{RequestManager, ShutdownReport},
    outcome::{Outcome, Reply},
    request::Request,
    ticket::{SubmitError, Ticket},
};
