//! A run on a batch, with a store in memory, a provider in memory and a paused clock.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use outbound::{
    Client, Origin, Provider, RequestManager, Withdrawn,
    work::{Ambiguous, Answer, Counts, End, Held, Lease, MemoryWork, Pushed, Work, WorkError, WorkStore},
};
use outbound_simulator::{Latency, Simulator};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{
    budget::Budget,
    claims::Claims,
    feed::Feed,
    keep,
    log::Log,
    store::Reach,
    work::{Drive, Ended, Task},
};
use crate::{identity::Digest, interrupt::Interrupt, output::Origin as Line};

const LEASE: Duration = Duration::from_secs(30);

/// A store whose calls take time, and are counted.
#[derive(Debug, Clone, Default)]
struct Slow {
    work: MemoryWork,
    /// Leases are extended.
    keeps: bool,
    /// How long a call takes that says what is sent, and one that says what is finished.
    sent_takes: Duration,
    finish_takes: Duration,
    sent: Arc<AtomicUsize>,
    finishes: Arc<AtomicUsize>,
    /// The most that were claimed at once, of all handles.
    most_claimed: Arc<AtomicUsize>,
}

impl WorkStore for Slow {
    async fn push(&self, work: Vec<Work>) -> Result<Vec<Pushed>, WorkError> {
        self.work.push(work).await
    }
    async fn claim(&self, most: usize, ttl: Duration, ambiguous: Ambiguous) -> Result<Vec<Lease>, WorkError> {
        let leases = self.work.claim(most, ttl, ambiguous).await?;
        self.most_claimed.fetch_max(self.work.counts().await?.claimed, Ordering::Relaxed);
        Ok(leases)
    }
    async fn sent(&self, leases: &[&Lease]) -> Result<Held, WorkError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        sleep(self.sent_takes).await;
        self.work.sent(leases).await
    }
    async fn renew(&self, leases: &[&Lease], ttl: Duration) -> Result<Held, WorkError> {
        if self.keeps { self.work.renew(leases, ttl).await } else { Ok(vec![Ok(()); leases.len()]) }
    }
    async fn finish(&self, ends: &[(&Lease, End)]) -> Result<Held, WorkError> {
        let before = self.finishes.fetch_add(1, Ordering::Relaxed);
        // Where leases are not extended, only the first call is slow.
        if self.keeps || before == 0 {
            sleep(self.finish_takes).await;
        }
        self.work.finish(ends).await
    }
    async fn release(&self, leases: &[&Lease], sent: bool) -> Result<Held, WorkError> {
        self.work.release(leases, sent).await
    }
    async fn rescue(&self) -> Result<usize, WorkError> {
        self.work.rescue().await
    }
    async fn retry_failed(&self) -> Result<usize, WorkError> {
        self.work.retry_failed().await
    }
    async fn answers(&self, after: Option<u64>, most: usize) -> Result<Vec<Answer>, WorkError> {
        self.work.answers(after, most).await
    }
    async fn exported(&self, ids: &[Arc<str>]) -> Result<(), WorkError> {
        self.work.exported(ids).await
    }
    async fn counts(&self) -> Result<Counts, WorkError> {
        self.work.counts().await
    }
    async fn wait(&self) {
        self.work.wait().await;
    }
}

impl Slow {
    async fn with(lines: usize, takes: Duration) -> Self {
        let store = Self { sent_takes: takes, finish_takes: takes, keeps: true, ..Self::default() };
        let payload = r#"{"line":1,"request":"00000000000000ab","sends":{"method":"POST","url":"/v1/chat/completions",
            "to":"batch","model":null,"body":{"model":"m","messages":[{"role":"user","content":"Hello."}],"max_tokens":9}},"outbound":{}}"#;
        let work = (0..lines).map(|line| Work::new(format!("r{line}"), payload)).collect();
        store.push(work).await.expect("memory");
        store
    }

    /// Works on it as one process does, with this many requests in flight at the most.
    async fn run(
        &self,
        simulator: &Simulator,
        width: usize,
        interrupt: &Interrupt,
    ) -> (Ended, Vec<String>, bool) {
        let (store, claims, reach) = (Arc::new(self.clone()), Claims::default(), Arc::new(Reach::default()));
        let (log, recording) = Log::start(Arc::clone(&store), &claims, &reach);
        let _recording = Task(recording);
        let dialled = simulator.clone();
        let client = Client::builder().connector(move |_: &Origin| {
            let dialled = dialled.clone();
            async move { dialled.dial().await }
        });
        let manager =
            RequestManager::builder().base_url("http://provider.test/v1").key("k").client(client).seed(7);
        let manager = manager.max_concurrent(width).send_log(log).build().expect("a manager");
        let _keeping = Task(keep::start(Arc::clone(&store), &claims, LEASE));
        let (refused, is_done) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let budget = Arc::new(Budget::new(&manager, &claims, None));
        let feed = Feed {
            store: Arc::clone(&store),
            claims: claims.clone(),
            reach: Arc::clone(&reach),
            lease: LEASE,
            most: move || 2 * width,
            base_path: String::from("/v1"),
            refused: Arc::clone(&refused),
            budget: Arc::clone(&budget),
            provider: Provider::openai(),
            is_done: Arc::clone(&is_done),
        };
        let refused: &Mutex<HashSet<Arc<str>>> = &refused;
        let drive = Drive {
            store: &store,
            claims: &claims,
            reach: &reach,
            manager: &manager,
            interrupt,
            keys: &[],
            refused,
        };
        let mut outcomes = Vec::new();
        let ended = drive.run(feed, |outcome| outcomes.extend(outcome.id.clone())).await;
        manager.shutdown(Duration::ZERO).await;
        assert_eq!(claims.len(), 0, "each line has its end");
        (ended, outcomes, is_done.load(Ordering::Relaxed))
    }
}

fn simulator() -> Simulator {
    Simulator::builder().seed(3).latency(Latency::fixed(Duration::from_secs(1))).build()
}

#[tokio::test(start_paused = true)]
async fn two_processes_work_until_the_whole_batch_is_done() {
    let (store, simulator, interrupt) =
        (Slow::with(100, Duration::ZERO).await, simulator(), Interrupt::listen());
    let began = Instant::now();
    let (one, other) = (store.run(&simulator, 5, &interrupt), store.run(&simulator, 5, &interrupt));
    let ((_, one, is_done), (_, other, _)) = tokio::join!(one, other);
    assert!(is_done && one.len() > 30 && other.len() > 30, "{} and {}", one.len(), other.len());
    assert_eq!((one.len() + other.len(), simulator.ledger().sends()), (100, 100));
    assert_eq!(store.counts().await.expect("memory").done, 100);
    assert!(store.most_claimed.load(Ordering::Relaxed) <= 20, "nobody takes more than it works on");
    assert!(began.elapsed() <= Duration::from_secs(14), "{:?} for 10 s of work", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_costs_time_and_nothing_else() {
    // A call takes longer than a lease.
    let (store, simulator) = (Slow::with(60, Duration::from_secs(40)).await, simulator());
    let (ended, outcomes, is_done) = store.run(&simulator, 10, &Interrupt::listen()).await;
    assert_eq!((outcomes.len(), ended.late, is_done, simulator.ledger().sends()), (60, 0, true, 60));
    let counts = store.counts().await.expect("memory");
    assert_eq!((counts.done, counts.ready), (60, 0), "{counts:?}");
    let calls = store.sent.load(Ordering::Relaxed) + store.finishes.load(Ordering::Relaxed);
    assert!(calls <= 30, "{calls} calls for 60 lines: many go into one");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_puts_back_what_was_not_sent() {
    let (store, simulator, interrupt) =
        (Slow::with(100, Duration::ZERO).await, simulator(), Interrupt::listen());
    let soon = async {
        sleep(Duration::from_millis(3_500)).await;
        interrupt.ask();
    };
    let ((ended, ..), ()) = tokio::join!(store.run(&simulator, 5, &interrupt), soon);
    let counts = store.counts().await.expect("memory");
    assert!(ended.wrong.is_none());
    assert_eq!((counts.done, counts.ready, counts.ambiguous, counts.claimed), (20, 80, 0, 0), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_sent_at_the_same_time_are_recorded_with_one_call() {
    let store = Arc::new(Slow::with(100, Duration::from_secs(1)).await);
    let (claims, reach) = (Claims::default(), Arc::new(Reach::default()));
    for lease in store.claim(100, LEASE, Ambiguous::Take).await.expect("memory") {
        claims.add(lease, Line { line: 1, request: Digest(1) });
    }
    let (log, recording) = Log::start(Arc::clone(&store), &claims, &reach);
    let _recording = Task(recording);
    let all = claims.all();
    let began = Instant::now();
    let sent = all.iter().map(|claim| log.record(&claim.lease.id));
    let sent = futures::future::join_all(sent).await;
    assert!(sent.iter().all(Result::is_ok));
    assert!(store.sent.load(Ordering::Relaxed) <= 2 && began.elapsed() <= Duration::from_secs(2));
    assert!(claims.all().iter().all(|claim| claim.sent));
    // The lease of one has ended meanwhile, and one is nobody's.
    sleep(LEASE).await;
    let late = log.record(&all[0].lease.id).await;
    assert!(late.is_err_and(|error| error.is::<Withdrawn>()));
    assert!(log.record("another").await.is_err_and(|error| error.is::<Withdrawn>()));
    assert_eq!(claims.len(), 99);
}

/// A process that stood still longer than its lease gets its own lines again, and sends none of them twice.
#[tokio::test(start_paused = true)]
async fn a_line_that_is_taken_again_by_the_same_process_is_not_sent_again() {
    let store = Slow::with(1, Duration::ZERO).await;
    let claims = Claims::default();
    let line = Line { line: 1, request: Digest(1) };
    let take = async || store.claim(1, LEASE, Ambiguous::Take).await.expect("memory").remove(0);
    let first = take().await;
    assert!(claims.add(first.clone(), line));
    sleep(LEASE * 2).await;
    let second = take().await;
    assert!(!claims.add(second.clone(), line), "it is at work");
    claims.remove(&first);
    assert_eq!(
        claims.get("r0").map(|claim| claim.lease.number),
        Some(second.number),
        "the old lease ends nothing"
    );
    claims.remove(&second);
    assert_eq!(claims.len(), 0);
}

/// The answer of one who lost its line to another one, and got it back, may be the second that was paid for.
#[tokio::test(start_paused = true)]
async fn a_line_that_another_process_had_in_between_is_flagged() {
    let store = Slow::with(1, Duration::ZERO).await;
    let claims = Claims::default();
    let line = Line { line: 1, request: Digest(1) };
    let take = async || store.claim(1, LEASE, Ambiguous::Take).await.expect("memory").remove(0);
    claims.add(take().await, line);
    sleep(LEASE * 2).await;
    claims.add(take().await, line);
    assert!(!claims.get("r0").expect("it is there").is_shared, "nobody else had it");
    sleep(LEASE * 2).await;
    let of_another = take().await;
    store.sent(&[&of_another]).await.expect("memory");
    sleep(LEASE * 2).await;
    claims.add(take().await, line);
    assert!(claims.get("r0").expect("it is there").is_shared);
}

/// The lease of an answer ends while it is being written, and the same process takes the line again.
#[tokio::test(start_paused = true)]
async fn an_answer_is_written_with_the_lease_that_its_line_has_by_then() {
    // Nothing extends the leases, as while the process stands still.
    let (store, simulator) = (Slow::with(4, LEASE * 2).await, simulator());
    let store = Slow { keeps: false, sent_takes: Duration::ZERO, ..store };
    let interrupt = Interrupt::listen();
    let run = store.run(&simulator, 4, &interrupt);
    let (ended, outcomes, is_done) =
        tokio::time::timeout(Duration::from_secs(3_600), run).await.expect("it ends");
    let counts = store.counts().await.expect("memory");
    assert!(is_done && ended.wrong.is_none() && counts.done == 4, "{counts:?} {outcomes:?}");
}
