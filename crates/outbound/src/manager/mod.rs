//! The request manager: the pieces, composed. A file imports from files below it, never from files above it:
//!
//! ```text
//!                   manager
//!  batch · ticket · reply_stream · builder · snapshot
//!              driver
//!              inner
//!              reuse
//!         run · wire
//!   request_log
//!   admission · read · in_flight
//!   emitter
//!   record · attempt · batch_state
//!   destination
//!   prepared · cache
//!   scope: call · account, model, reachability · health, overload, breaker, fair_queue, quota, endpoint; silence above them
//!   judge · lifecycle · seed · wall_clock · settings · guarded_observer · reroute
//!   metrics
//!   observe · outcome · request · send_log · hedging
//!   money · route · reused
//!   error · reply · item · task
//! ```

mod admission;
mod attempt;
mod batch;
mod batch_state;
mod builder;
mod cache;
mod destination;
mod driver;
mod emitter;
mod error;
mod guarded_observer;
mod hedging;
mod in_flight;
mod inner;
mod item;
mod judge;
mod lifecycle;
#[expect(clippy::module_inception, reason = "the type that the module is about")]
mod manager;
mod metrics;
mod money;
mod observe;
mod outcome;
mod prepared;
mod read;
mod record;
mod reply;
mod reply_stream;
mod request;
mod request_log;
mod reroute;
mod reuse;
mod reused;
mod route;
mod run;
mod scope;
mod seed;
mod send_log;
mod settings;
mod snapshot;
mod task;
mod ticket;
mod wall_clock;
mod wire;

pub use self::{
    batch::{Batch, Rest},
    builder::RequestManagerBuilder,
    cache::ResponseCache,
    error::{BuildError, Error, ErrorKind},
    hedging::Hedging,
    item::Item,
    manager::{RequestManager, ShutdownReport},
    metrics::Metrics,
    money::{Money, Price, Prices, PricesError},
    observe::{Event, Observer, Operation, Step, Waiting},
    outcome::{AttemptRecord, Outcome},
    reply::Reply,
    reply_stream::ReplyStream,
    request::Request,
    reused::Reused,
    route::Route,
    scope::{Endpoint, ModelLimits, Stopped},
    send_log::{SendLog, Sending, Written},
    snapshot::{EndpointSnapshot, ModelSnapshot, Snapshot},
    ticket::{SubmitError, Ticket},
};
