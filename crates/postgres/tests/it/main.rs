//! What needs a database. It is named by `OUTBOUND_TEST_POSTGRES`; without it these tests say that they were skipped.

mod batch;
mod database;
mod members;
mod proxy;
mod quota;
#[path = "../../../outbound/tests/it/quota_processes.rs"]
mod quota_processes;
#[path = "../../../outbound/tests/it/quota_suite.rs"]
mod quota_suite;
#[path = "../../../outbound/tests/it/work_suite.rs"]
mod suite;
mod trouble;
mod work;
