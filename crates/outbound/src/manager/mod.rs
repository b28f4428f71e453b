//! The request manager: the pieces, composed. Files import from those below them:
//!
//! ```text
//! builder · manager · batch · ticket
//!        driver · lifecycle
//!              run
//!  admission · judge · record
//!       attempt · read
//!  scope: account, model, reach · health, stop, quota, config
//!  request · outcome · error · settings · observe
//! ```

mod admission;
mod attempt;
mod batch;
mod builder;
mod driver;
mod error;
mod judge;
mod key;
mod lifecycle;
#[expect(clippy::module_inception, reason = "the type that the module is about")]
mod manager;
mod observe;
mod outcome;
mod read;
mod record;
mod request;
mod run;
mod scope;
mod settings;
mod ticket;
mod wall_clock;

pub use self::{
    batch::{Batch, Rest},
    builder::{BuildError, RequestManagerBuilder},
    error::{Error, ErrorKind},
    manager::{RequestManager, ShutdownReport},
    observe::{Event, Observer, Step, Waiting},
    outcome::{Outcome, Reply},
    record::AttemptRecord,
    request::Request,
    scope::{Endpoint, ModelLimits, Stopped},
    ticket::{SubmitError, Ticket},
};
