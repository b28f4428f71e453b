//! Tests of waiting for a commit in async code: shared syncs, dropped futures, failures.

use std::{
    future::Future,
    io::ErrorKind,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use outbound_journal::{Committed, Error, Fsync, Journal, JournalBuilder, Memory, Records};

const MOMENT: Duration = Duration::from_millis(10);
const AN_HOUR: Fsync = Fsync::Batch(Duration::from_secs(3600));

/// Counts how often it was woken, and wakes its thread.
struct Count {
    woken: AtomicUsize,
    thread: thread::Thread,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Count {
    fn new() -> Arc<Self> {
        Arc::new(Self { woken: AtomicUsize::new(0), thread: thread::current() })
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }

    /// Waits until it was woken this many times, and not more often.
    fn wait_for(&self, times: usize) {
        for _ in 0..1000 {
            if self.woken() >= times {
                break;
            }
            thread::park_timeout(MOMENT);
        }
        assert_eq!(self.woken(), times);
    }
}

fn poll(future: &mut Committed<'_>, count: &Arc<Count>) -> Poll<Result<(), Error>> {
    let waker = Waker::from(count.clone());
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// Polls until the future is ready, but only when it was woken.
fn block_on<F: Future>(future: F) -> F::Output {
    let count = Count::new();
    let waker = Waker::from(count.clone());
    let mut future = pin!(future);
    for woken in 0..10 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        count.wait_for(woken + 1);
    }
    unreachable!("woken for nothing")
}

fn open(settings: &JournalBuilder) -> (Memory, Journal) {
    let memory = Memory::new();
    let journal = settings.open_memory(&memory).expect("opens");
    (memory, journal)
}

fn left(memory: &Memory) -> usize {
    let records = Records::read_memory(&memory.after_power_loss()).expect("lists");
    records.inspect(|record| assert!(record.is_ok())).count()
}

#[test]
fn it_is_durable_when_it_is_ready_under_each_setting() {
    for fsync in [Fsync::Always, Fsync::Batch(Duration::from_millis(5)), Fsync::Off] {
        let (memory, journal) = open(&Journal::builder().fsync(fsync));
        block_on(journal.committed()).expect("nothing to do");
        assert_eq!(memory.syncs(), 0);
        for count in 1..=20 {
            journal.append(b"one more").expect("appended");
            block_on(journal.committed()).expect("durable");
            assert_eq!(left(&memory), if fsync == Fsync::Off { 0 } else { count });
            assert_eq!(journal.records().expect("lists").count(), count);
        }
    }
}

#[test]
fn hundreds_on_one_thread_and_a_thread_that_blocks_share_one_sync() {
    let (memory, journal) = open(&Journal::builder().fsync(Fsync::Batch(Duration::from_millis(300))));
    let count = Count::new();
    let mut waiting: Vec<_> = (0..512_u32)
        .map(|number| {
            journal.append(&number.to_le_bytes()).expect("appended");
            journal.committed()
        })
        .collect();
    for future in &mut waiting {
        assert!(poll(future, &count).is_pending());
    }
    journal.commit().expect("durable");
    assert_eq!((memory.syncs(), left(&memory)), (1, 512));
    for future in waiting {
        block_on(future).expect("durable");
    }
    assert_eq!(memory.syncs(), 1);
    count.wait_for(512);
}

#[test]
fn with_a_sync_at_once_hundreds_share_few() {
    let (memory, journal) = open(&Journal::builder());
    let count = Count::new();
    for round in 1..=20 {
        let mut waiting: Vec<_> = (0..512_u32)
            .map(|number| {
                journal.append(&number.to_le_bytes()).expect("appended");
                journal.committed()
            })
            .collect();
        // All have appended before the first one asks for a sync.
        waiting.iter_mut().for_each(|future| drop(poll(future, &count)));
        waiting.into_iter().for_each(|future| block_on(future).expect("durable"));
        assert_eq!(memory.syncs(), round);
    }
    assert_eq!(left(&memory), 20 * 512);
}

#[test]
fn what_is_appended_later_is_not_waited_for() {
    let (memory, journal) = open(&Journal::builder());
    journal.append(b"one").expect("appended");
    let early = journal.committed();
    journal.append(b"two").expect("appended");
    let late = journal.committed();
    memory.fail_next_sync();
    assert!(block_on(late).is_err());
    assert!(block_on(early).is_err());
    let (memory, journal) = open(&Journal::builder());
    journal.append(b"one").expect("appended");
    let early = journal.committed();
    journal.commit().expect("durable");
    memory.fail_next_sync();
    journal.append(b"two").expect("appended");
    assert!(block_on(journal.committed()).is_err());
    block_on(early).expect("was durable before the failure");
}

#[test]
fn one_that_is_dropped_leaves_no_waker_and_is_not_woken() {
    let (memory, journal) = open(&Journal::builder().fsync(AN_HOUR));
    journal.append(b"one").expect("appended");
    let (dropped, kept) = (Count::new(), Count::new());
    let mut first = journal.committed();
    let mut second = journal.committed();
    for _ in 0..3 {
        assert!(poll(&mut first, &dropped).is_pending());
        assert!(poll(&mut second, &kept).is_pending());
    }
    assert_eq!(Arc::strong_count(&dropped), 2, "polling again keeps one waker");
    drop(first);
    assert_eq!(Arc::strong_count(&dropped), 1);
    // The waker of the last poll is woken.
    assert!(poll(&mut second, &dropped).is_pending());
    assert_eq!(Arc::strong_count(&kept), 1);
    // Nobody can close the journal while a future waits, except if the future was forgotten. Closing wakes that one
    // too.
    std::mem::forget(second);
    journal.close().expect("durable");
    assert_eq!((dropped.woken(), kept.woken()), (1, 0));
    assert_eq!(Arc::strong_count(&dropped), 1);
    assert_eq!(left(&memory), 1);
}

#[test]
fn one_that_is_never_polled_asks_for_nothing() {
    let (memory, journal) = open(&Journal::builder());
    journal.append(b"one").expect("appended");
    drop(journal.committed());
    thread::park_timeout(Duration::from_millis(30));
    assert_eq!(memory.syncs(), 0);
}

#[test]
fn all_are_told_of_a_failure_and_those_who_come_later_at_once() {
    let (memory, journal) = open(&Journal::builder().fsync(Fsync::Batch(Duration::from_millis(100))));
    let count = Count::new();
    memory.fail_next_sync();
    let mut waiting: Vec<_> = (0..64_u32)
        .map(|number| {
            journal.append(&number.to_le_bytes()).expect("appended");
            journal.committed()
        })
        .collect();
    waiting.iter_mut().for_each(|future| assert!(poll(future, &count).is_pending()));
    count.wait_for(64);
    // The last waker is dropped a moment after it was woken.
    (0..1000).take_while(|_| Arc::strong_count(&count) > 1).for_each(|_| thread::park_timeout(MOMENT));
    assert_eq!((memory.syncs(), Arc::strong_count(&count)), (1, 1));
    for future in waiting {
        let error = block_on(future).expect_err("not durable");
        assert!(matches!(&error, Error::Failed { kind: ErrorKind::Other, .. }), "{error}");
    }
    assert!(poll(&mut journal.committed(), &count).is_ready());
    assert!(matches!(block_on(journal.committed()), Err(Error::Failed { .. })));
}

/// A waker whose clone and drop use the journal, like the waker of a task that owns a future of the journal.
#[test]
fn a_waker_may_use_the_journal() {
    struct Appends(Arc<Journal>);
    impl Wake for Appends {
        fn wake(self: Arc<Self>) {
            self.0.append(b"woken").expect("appended");
        }
    }
    impl Drop for Appends {
        fn drop(&mut self) {
            self.0.append(b"dropped").expect("appended");
        }
    }
    let (memory, journal) = open(&Journal::builder());
    let journal = Arc::new(journal);
    journal.append(b"one").expect("appended");
    let mut waiting = journal.committed();
    for _ in 0..3 {
        let waker = Waker::from(Arc::new(Appends(journal.clone())));
        drop(Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker)));
    }
    block_on(waiting).expect("durable");
    journal.commit().expect("durable");
    assert!(left(&memory) >= 4);
}

#[test]
fn it_can_be_sent() {
    fn sent<T: Send + Sync + Unpin>(_: T) {}
    sent(open(&Journal::builder()).1.committed());
}
