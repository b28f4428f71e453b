//! The request manager: the pieces, composed. Files import from those below them:
//!
//! ```text
//!                   manager
//!        batch · ticket · builder
//!              driver
//!              inner
//!         run · wire
//!   admission · read
//!   record · attempt · shared
//!   scope: call · account, model, reach · health, stop, quota, config; silence above them
//!   judge · lifecycle · key · wall_clock · settings · observe
//!   outcome · error · reply · request
//! ```

mod admission;
mod attempt;
mod batch;
mod builder;
mod driver;
mod error;
mod inner;
mod judge;
mod key;
mod lifecycle;
#[expect(clippy::module_inception, reason = "the type that the module is about")]
mod manager;
mod observe;
mod outcome;
mod read;
mod record;
mod reply;
mod request;
mod run;
mod scope;
mod settings;
mod shared;
mod ticket;
mod wall_clock;
mod wire;

pub use self::{
    batch::{Batch, Rest},
    builder::RequestManagerBuilder,
    error::{BuildError, Error, ErrorKind},
    manager::{RequestManager, ShutdownReport},
    observe::{Event, Observer, Step, Waiting},
    outcome::{AttemptRecord, Outcome},
    reply::Reply,
    request::Request,
    scope::{Endpoint, ModelLimits, Stopped},
    ticket::{SubmitError, Ticket},
};
