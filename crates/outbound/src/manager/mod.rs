//! The request manager: the pieces, composed. Files import from those below them:
//!
//! ```text
//!                   manager
//!  batch · ticket · reply_stream · builder · snapshot
//!              driver
//!              inner
//!              reuse
//!         run · wire
//!   send_log
//!   admission · read
//!   telling
//!   destination
//!   record · attempt · shared
//!   scope: call · account, model, reach · health, stop, line, quota, config; silence above them
//!   money
//!   judge · lifecycle · key · wall_clock · settings · observe; metrics above it
//!   route
//!   outcome · error · reply · request · item · task
//! ```

mod admission;
mod attempt;
mod batch;
mod builder;
mod destination;
mod driver;
mod error;
mod inner;
mod item;
mod judge;
mod key;
mod lifecycle;
#[expect(clippy::module_inception, reason = "the type that the module is about")]
mod manager;
mod metrics;
mod money;
mod observe;
mod outcome;
mod read;
mod record;
mod reply;
mod reply_stream;
mod request;
mod reuse;
mod route;
mod run;
mod scope;
mod send_log;
mod settings;
mod shared;
mod snapshot;
mod task;
mod telling;
mod ticket;
mod wall_clock;
mod wire;

pub use self::{
    batch::{Batch, Rest},
    builder::RequestManagerBuilder,
    error::{BuildError, Error, ErrorKind},
    item::Item,
    manager::{RequestManager, ShutdownReport},
    metrics::Metrics,
    money::{Money, Price, Prices, PricesError},
    observe::{Event, Observer, Operation, Step, Waiting},
    outcome::{AttemptRecord, Outcome, Reused},
    reply::Reply,
    reply_stream::ReplyStream,
    request::Request,
    reuse::ResponseCache,
    route::Route,
    run::Hedging,
    scope::{Endpoint, ModelLimits, Stopped},
    send_log::{SendLog, Sending, Written},
    snapshot::{EndpointSnapshot, ModelSnapshot, Snapshot},
    ticket::{SubmitError, Ticket},
};
