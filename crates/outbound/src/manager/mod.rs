//! The request manager: the pieces, composed. A file uses only files of the rows below its own row:
//!
//! ```text
//!  manager
//!  batch
//!  driver · builder · reply_stream · snapshot
//!  inner
//!  reuse
//!  run
//!  wire · request_log
//!  admission · read
//!  emitter · ticket
//!  record
//!  attempt
//!  batch_state · destination
//!  prepared · outcome · reroute
//!  request
//!  scope (a folder; in it: call, silence · account · model, reachability, sharing, endpoint ·
//!         health, overload, breaker, fair_queue, quota · stopped)
//!  settings · shared_quota (a folder; in it: holding · away · rules, store)
//!  metrics · guarded_observer
//!  in_flight · route · observe
//!  error · cache
//!  judge · lifecycle · seed · wall_clock · send_log · hedging · money · reply · reused · item · task
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
mod shared_quota;
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
    send_log::{SendLog, Sending, Withdrawn, Written},
    shared_quota::QuotaStoreSnapshot,
    snapshot::{EndpointSnapshot, ModelSnapshot, Snapshot},
    ticket::{SubmitError, Ticket},
};
