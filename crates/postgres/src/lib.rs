//! Work and quota that several processes share, kept in a Postgres database.
//!
//! One process on one machine keeps its work in a folder, and all of a key's quota for itself. Where several machines work on
//! one batch with one key, both have to be where all of them see them.
//!
//! ```no_run
//! use std::time::Duration;
//! use outbound::work::{Ambiguous, Work, WorkStore};
//! use outbound_postgres::PostgresWork;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = PostgresWork::builder("postgres://127.0.0.1/test").name("nightly").open().await?;
//!     store.push(vec![Work::new("row 1", "a question")]).await?;   // again and again, on each machine: one row
//!
//!     for lease in store.claim(10, Duration::from_secs(60), Ambiguous::Leave).await? {
//!         if store.sent(&[&lease]).await?[0].is_err() {
//!             continue;                                            // its time is over: another one may have it
//!         }
//!         store.finish(&[(&lease, "an answer".into())]).await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Beside this crate the example needs:
//!
//! ```sh
//! cargo add outbound --path ../outbound/crates/outbound
//! cargo add tokio --features macros,rt
//! ```
//!
//! # What is in it
//!
//! | | |
//! |---|---|
//! | [`PostgresWork`] | a [`WorkStore`](outbound::work::WorkStore): work that is claimed, sent and finished by many |
//! | [`PostgresBatch`] | who works on a batch, and what all of them are told: a pause, new limits, an end |
//! | [`PostgresQuota`] | a [`QuotaStore`](outbound::quota_store::QuotaStore): limits that many share, granted in chunks, an exchange in one round trip |
//!
//! # Guarantees
//!
//! | when | then |
//! |---|---|
//! | two processes claim at once | each gets other work (`for update skip locked`) |
//! | a process dies, or is cut off | its work comes back when its lease ends, by the clock of the database |
//! | it comes back after that | its lease has another number than the present one, and changes nothing |
//! | work has a priority | its place is decided when it is pushed, by the database's clock: each priority is worth 30 seconds. A process that is busy finds work that goes before what it claimed last within a second |
//! | a worker [waits](outbound::work::WorkStore::wait) | it is told of work that is pushed, released or tried again; what nobody says, as an expired lease, it finds within 2 seconds |
//! | work is pushed again with another payload | [`Changed`](outbound::work::Pushed::Changed), whatever became of the work: payloads stay until the batch is [removed](PostgresWork::remove) |
//! | failed work is [tried again](outbound::work::WorkStore::retry_failed) | exported or not, since its payload is there. Where the connection broke, the number does not count what an attempt without a reply did |
//! | a call returned | what it did is durable, as far as the database's `synchronous_commit` is on |
//! | the database is away | a call waits for it, for so long as [`patience`](Builder::patience) says, and then fails |
//! | a quota is asked for | what its holders spend stays within its rules, as [`quota_store`](outbound::quota_store) says; a row that was lost begins empty |
//! | the connection broke and nobody knows whether the call was done | it is asked again, and the answer is as if it had been done once |
//!
//! **Cancel safety**: a dropped call was done or not, as a whole. **Time** is the database's: no clock of any other machine
//! counts, and only durations are sent. **Panics**: none.
//!
//! # What it makes
//!
//! The tables are in a schema of their own, `outbound` by default. The first who opens a store makes them, under a lock; who
//! may not create them gets an error, until somebody who may has [opened](Builder::open) a store once. From then on a role
//! needs `usage` of the schema and its sequences, and `select, insert, update, delete` of its tables. (Its functions may be
//! called by everybody, as is Postgres' default, and do what their caller may do.)
//!
//! # What to watch
//!
//! A job leaves up to three dead rows, and the tables have settings of their own so that autovacuum takes them away while the batch
//! runs. A transaction that stays open for long, as a report's, keeps them there: claims go on nearly as fast, and the tables grow.
//! [`health`](PostgresWork::health) says how many dead rows there are, and how old the oldest transaction is. A batch that is done
//! and exported stays until it is [removed](PostgresWork::remove).
//!
//! # Encryption
//!
//! With `sslmode=require` in the address the connection is encrypted, and the server's certificate is verified by what the platform
//! trusts, or by a [configuration](Builder::tls) of the program's own. Without it the connection is plain, as on a network of
//! one's own.
//!
//! # What it does not do
//!
//! It sends nothing: a program claims, sends and finishes, as `outbound run --store` does; `RequestManagerBuilder::quota_store` takes a
//! [`PostgresQuota`]. It keeps no connection pool: one connection claims, one says what was sent and finishes, and one listens once a worker has
//! [waited](outbound::work::WorkStore::wait). A pooler in front of the database has to keep prepared statements (`PgBouncer`: 1.21 or later). Behind one that shares connections between transactions nothing is
//! heard, and a waiting worker looks every 2 seconds.
//!
//! # Coming from others
//!
//! | there | here |
//! |---|---|
//! | River, Oban: a job, `attempt`, `snooze` | [`Lease`](outbound::work::Lease), its `deliveries`, [`release`](outbound::work::WorkStore::release) |
//! | pgmq: `read` with a visibility timeout, `archive` | [`claim`](outbound::work::WorkStore::claim) with a time, [`finish`](outbound::work::WorkStore::finish) |
//! | SQS: `ChangeMessageVisibility` | [`renew`](outbound::work::WorkStore::renew) |
//!
//! # Cost
//!
//! A claim, a "sent" and a "finished" are one round trip each, for as many jobs as are given. `cargo bench -p outbound-postgres`
//! measures jobs a second.
#![forbid(unsafe_code)]

mod batch;
mod builder;
mod database;
mod error;
mod lane;
mod quota;
mod schema;
mod tls;
mod work;

pub use batch::{Load, Member, Order, Orders, PostgresBatch};
pub use builder::Builder;
pub use error::Error;
pub use quota::PostgresQuota;
pub use work::{Health, PostgresWork};
