//! What the tests of `--store` share: a database of its own, a server, an input, and the commands on a batch.
#![cfg(unix)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use outbound_simulator::{Latency, Simulator};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::block_in_place,
};
use tokio_postgres::NoTls;

use crate::support::{Running, answers, folder, ids, input, outbound, said, text};

/// So many of these tests at a time: each starts several processes, and other tests measure time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// A database of its own, dropped at the end.
struct Database {
    server: String,
    name: String,
}

impl Database {
    async fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var("OUTBOUND_TEST_POSTGRES") else {
            eprintln!("skipped: OUTBOUND_TEST_POSTGRES names no database");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("outbound_cli_{}_{number}", std::process::id());
        Self::execute(&server, &format!("create database {name}")).await;
        Some(Self { server, name })
    }

    async fn execute(server: &str, statement: &str) {
        let (client, connection) = tokio_postgres::connect(server, NoTls).await.expect("it connects");
        let task = tokio::spawn(connection);
        client.batch_execute(statement).await.expect("it is done");
        task.abort();
    }

    fn address(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("an address with a database");
        format!("{server}/{}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, statement) = (self.server.clone(), format!("drop database {} with (force)", self.name));
        let dropped = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(Self::execute(&server, &statement));
        });
        let _ = dropped.join();
    }
}

/// A server, an input, and a batch in a database.
pub(crate) struct Job {
    _turn: SemaphorePermit<'static>,
    _database: Database,
    pub(crate) store: String,
    pub(crate) simulator: Simulator,
    pub(crate) base: String,
    folder: TempDir,
    pub(crate) input: PathBuf,
}

impl Job {
    /// With this many lines; each answer takes `latency` milliseconds.
    pub(crate) async fn new(lines: usize, latency: u64) -> Option<Self> {
        Self::with(
            lines,
            Simulator::builder().latency(Latency::fixed(Duration::from_millis(latency))).build(),
        )
        .await
    }

    pub(crate) async fn with(lines: usize, simulator: Simulator) -> Option<Self> {
        let turn = TURNS.acquire().await.ok()?;
        let database = Database::new().await?;
        let address = simulator.listen("127.0.0.1:0").await.expect("a port");
        let folder = folder();
        let input = input(&folder, lines, &[]);
        let store = database.address();
        Some(Self {
            _database: database,
            _turn: turn,
            store,
            simulator,
            base: format!("http://{address}/v1"),
            folder,
            input,
        })
    }

    /// Changes something in the database, as another version would.
    pub(crate) async fn execute(&self, statement: &str) {
        Database::execute(&self.store, &format!("set search_path to outbound; {statement}")).await;
    }

    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let (input, base, store) = (text(&self.input), &self.base, &self.store);
        let own =
            ["run", input, "--base-url", base, "--store", store, "--name", "nightly", "--concurrency", "4"];
        outbound(&[&own, more].concat())
    }

    pub(crate) fn start(&self, more: &[&str]) -> Running {
        Running::start(self.command(more))
    }

    pub(crate) fn run(&self, more: &[&str]) -> Output {
        block_in_place(|| self.command(more).output().expect("it runs"))
    }

    /// Another command on the batch.
    pub(crate) fn ask(&self, command: &str, more: &[&str]) -> Output {
        let own = [command, "--store", &self.store, "--name", "nightly"];
        block_in_place(|| outbound(&[&own, more].concat()).output().expect("it runs"))
    }

    pub(crate) fn export(&self, name: &str, code: i32) -> Vec<Value> {
        let path = self.path(name);
        let run = self.ask("export", &["-o", text(&path)]);
        assert_eq!(run.status.code(), Some(code), "{}", said(&run));
        answers(&path)
    }

    pub(crate) fn status(&self) -> Value {
        let run = self.ask("status", &["--json"]);
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
        serde_json::from_slice(&run.stdout).expect("an object of JSON")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn sends(&self) -> usize {
        self.simulator.ledger().sends()
    }

    /// How often each request was received, by its idempotency key.
    pub(crate) fn sends_by_key(&self) -> BTreeMap<String, usize> {
        let mut sends = BTreeMap::new();
        for entry in self.simulator.ledger().entries() {
            *sends.entry(entry.seen.idempotency_key.clone().expect("a key")).or_default() += 1;
        }
        sends
    }

    /// That each line is there once, and that what was sent twice says so.
    pub(crate) fn all_are_there(&self, answers: &[Value], lines: usize) {
        let unique: BTreeSet<_> = ids(answers).into_iter().collect();
        assert_eq!((answers.len(), unique.len()), (lines, lines), "none lost, none doubled");
        let sends = self.sends_by_key();
        assert_eq!(sends.len(), lines, "all machines give a line the same key");
        let doubled = sends.values().filter(|sends| **sends > 1).count();
        let flagged =
            answers.iter().filter(|answer| answer["outbound"]["possible_duplicate"] == true).count();
        assert!(doubled <= flagged, "{doubled} were sent twice, {flagged} say so");
    }
}

pub(crate) fn signal(process: &mut Running, signal: &str) {
    let id = process.child().id().to_string();
    let sent = Command::new("kill").args([signal, &id]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

pub(crate) fn succeeded(run: &Output) -> u64 {
    let said = said(run);
    let line = said.lines().find(|line| line.contains(" succeeded, ")).unwrap_or_else(|| panic!("{said}"));
    line.split(' ').next().and_then(|count| count.parse().ok()).expect("a number")
}

/// A line without what differs from run to run.
pub(crate) fn lasting(mut answer: Value) -> Value {
    for member in ["waited_ms", "elapsed_ms"] {
        answer["outbound"][member] = Value::Null;
    }
    for member in ["id", "created"] {
        answer["response"]["body"][member] = Value::Null;
    }
    answer["response"]["request_id"] = Value::Null;
    answer
}
