//! A batch overnight: the process dies in the middle. The next run knows what is done, what was surely not sent, and what
//! may have been paid for.
//!
//! ```sh
//! cargo run --example overnight
//! ```
//!
//! The provider is on the loopback interface, in real time. The log and the work are in a folder under the system's
//! temporary one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use outbound::{
    Outcome, Provider, Request, RequestManager, SendLog, Sending, Written,
    journal::{Journal, Records},
    work::{Ambiguous, FolderWork, Lease, Work, WorkStore},
};
use outbound_examples::{Result, heading};
use outbound_simulator::{Latency, Simulator};

const ROWS: usize = 60;

#[tokio::main]
async fn main() -> Result {
    let folder = std::env::temp_dir().join(format!("outbound-overnight-{}", std::process::id()));
    let server = Simulator::builder().latency(Latency::fixed(Duration::from_millis(50))).build();
    let url = format!("http://{}/v1", server.listen("127.0.0.1:0").await?);

    heading("The first night: the process dies after 20 answers");
    first_night(&url, &folder.join("log")).await?;

    heading("The second night: the log says where to go on");
    let log = Log::open(&folder.join("log"))?;
    println!(
        "{} answered, {} perhaps sent, {} surely not sent",
        log.answered.len(),
        log.perhaps_sent().count(),
        ROWS - log.sent.len()
    );
    let mut batch = manager(&url, &log)?.batch(log.to_do());
    let (mut answers, mut duplicates) = (log.answered.len(), 0);
    while let Some(outcome) = batch.next().await {
        log.answered(&outcome)?;
        answers += 1;
        duplicates += usize::from(outcome.possible_duplicate);
    }
    println!("{answers} of {ROWS} answered; {duplicates} may have been billed twice");
    assert!(answers == ROWS && duplicates == log.perhaps_sent().count());

    heading("The same with a store of work, which keeps the requests too");
    work(&url, &folder.join("work")).await?;

    server.shutdown().await;
    Ok(std::fs::remove_dir_all(&folder)?)
}

async fn first_night(url: &str, folder: &Path) -> Result {
    let log = Log::open(folder)?;
    let manager = manager(url, &log)?;
    let mut batch = manager.batch(log.to_do());
    for _ in 0..20 {
        log.answered(&batch.next().await.ok_or("there are more")?)?;
    }
    // Dropping the batch is like a crash: nobody hears of what is under way.
    drop(batch);
    manager.shutdown(Duration::ZERO).await;
    Ok(())
}

fn manager(url: &str, log: &Log) -> Result<RequestManager> {
    Ok(RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url(url)
        .max_concurrent(8)
        .send_log(log.clone())
        .build()?)
}

fn question(row: usize) -> Request {
    Request::prompt("small", format!("What is {row} + {row}?")).id(row.to_string())
}

/// What was sent and what was answered, in a journal: a file that survives a crash.
#[derive(Clone)]
struct Log {
    journal: Arc<Journal>,
    sent: BTreeSet<String>,
    answered: BTreeMap<String, String>,
}

impl Log {
    fn open(folder: &Path) -> Result<Self> {
        // Opening cuts what a crash left half-written.
        let journal = Arc::new(Journal::builder().open(folder)?);
        let (mut sent, mut answered) = (BTreeSet::new(), BTreeMap::new());
        for record in Records::read(folder)? {
            let record = String::from_utf8(record?.bytes.to_vec())?;
            match record.split_once(' ').ok_or("a record has two words")? {
                ("sent", id) => drop(sent.insert(id.to_owned())),
                ("back", id) => drop(sent.remove(id)),
                (id, answer) => drop(answered.insert(id.to_owned(), answer.to_owned())),
            }
        }
        Ok(Self { journal, sent, answered })
    }

    /// Sent, and without an answer.
    fn perhaps_sent(&self) -> impl Iterator<Item = &String> {
        self.sent.iter().filter(|id| !self.answered.contains_key(*id))
    }

    /// The rows without an answer. Those that may have been sent say so.
    fn to_do(&self) -> impl Iterator<Item = Request> + use<> {
        let log = self.clone();
        (0..ROWS).filter_map(move |row| {
            let id = row.to_string();
            let again = log.sent.contains(&id);
            let request = question(row);
            (!log.answered.contains_key(&id))
                .then(|| if again { request.maybe_sent_before() } else { request })
        })
    }

    fn answered(&self, outcome: &Outcome) -> Result {
        let (Some(id), Ok(reply)) = (&outcome.id, &outcome.result) else { return Ok(()) };
        self.journal.append(format!("{id} {}", reply.content().unwrap_or_default()).as_bytes())?;
        Ok(self.journal.commit()?)
    }
}

impl SendLog for Log {
    /// Before the first byte leaves. Several at once share one sync.
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a> {
        Box::pin(async move {
            self.journal.append(format!("sent {}", request.id.unwrap_or_default()).as_bytes())?;
            Ok(self.journal.committed().await?)
        })
    }

    /// It was refused, or never left: nothing was paid for.
    fn not_processed(&self, request: Sending<'_>) {
        let _ = self.journal.append(format!("back {}", request.id.unwrap_or_default()).as_bytes());
    }
}

async fn work(url: &str, folder: &Path) -> Result {
    let manager = RequestManager::builder().provider(Provider::openai_compatible()).base_url(url).build()?;
    let store = FolderWork::open(folder)?;
    store.push((0..ROWS).map(|row| Work::new(row.to_string(), row.to_string())).collect()).await?;
    // Longer than a call takes. A worker that dies gives its work back after that.
    let ttl = Duration::from_secs(60);
    loop {
        let leases = store.claim(16, ttl, Ambiguous::Leave).await?;
        if leases.is_empty() {
            break;
        }
        // Durable before the first byte leaves.
        store.sent(&leases.iter().collect::<Vec<_>>()).await?;
        let requests = leases.iter().map(request).collect::<Result<Vec<_>>>()?;
        let mut batch = manager.batch(requests);
        while let Some(outcome) = batch.next().await {
            let answer = outcome.result?.content().unwrap_or_default();
            store.finish(&[(&leases[outcome.index], answer.into())]).await?;
        }
    }
    let counts = store.counts().await?;
    println!("{} ready, {} perhaps sent, {} done", counts.ready, counts.ambiguous, counts.done);
    assert_eq!(counts.done, ROWS);
    Ok(())
}

fn request(lease: &Lease) -> Result<Request> {
    let request = question(std::str::from_utf8(&lease.payload)?.parse()?);
    Ok(if lease.may_have_been_sent { request.maybe_sent_before() } else { request })
}
