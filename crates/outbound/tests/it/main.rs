//! The whole stack: manager, client, the bytes of HTTP, simulated provider. All but `sockets` runs on the paused clock,
//! through pipes in memory. Tests named after an incident of the field carry its story in their first line.

mod batches;
mod batching;
mod concurrency;
mod control;
mod defaults;
mod dialects;
mod driver;
mod fallbacks;
mod faults;
mod hedges;
mod hour;
mod items;
mod lifecycle;
mod limits;
mod metrics;
mod money;
mod observers;
mod orders;
mod outages;
mod records;
mod refusals;
mod replies;
mod requests;
mod reuse;
mod secrets;
mod shared_quota;
mod simulated_dialects;
mod sockets;
mod stack;
mod streams;
mod traces;
mod transport;
mod verdict;
mod waits;
mod wire;
