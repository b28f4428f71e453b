//! Random calls, compared with a very simple model.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use outbound::work::{Ambiguous, Counts, End, FolderWork, Lease, MemoryWork, Pushed, Work, WorkStore};
use outbound_journal::Memory;
use proptest::prelude::*;
use tokio::time::{self, Instant};

use super::{
    in_memory,
    suite::{answer, answered},
};

#[derive(Debug, Clone)]
enum Call {
    /// With a priority, and with the payload of this id or another one.
    Push(u32, i16, bool),
    Claim(usize, u64, bool),
    /// The calls below use the lease that was handed out this many leases ago.
    Sent(usize),
    Renew(usize, u64),
    Finish(usize),
    Fail(usize),
    Retry,
    Release(usize, bool),
    Export(u32),
    Wait(u64),
    Reopen,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        4 => (0..8_u32, 0..3_i16, any::<bool>()).prop_map(|(id, priority, other)| Call::Push(id, priority, other)),
        4 => (0..4_usize, 1..50_u64, any::<bool>()).prop_map(|(most, ttl, take)| Call::Claim(most, ttl, take)),
        3 => (0..6_usize).prop_map(Call::Sent),
        1 => (0..6_usize, 1..50_u64).prop_map(|(lease, ttl)| Call::Renew(lease, ttl)),
        3 => (0..6_usize).prop_map(Call::Finish),
        2 => (0..6_usize).prop_map(Call::Fail),
        1 => Just(Call::Retry),
        2 => (0..6_usize, any::<bool>()).prop_map(|(lease, sent)| Call::Release(lease, sent)),
        1 => (0..8_u32).prop_map(Call::Export),
        2 => prop_oneof![1..40_u64, 10_000..40_000_u64].prop_map(Call::Wait),
        1 => Just(Call::Reopen),
    ];
    proptest::collection::vec(call, 0..80)
}

#[derive(Debug, Clone, Default)]
struct Item {
    deliveries: u32,
    ambiguous: bool,
    /// Number, expiry, whether it was sent.
    lease: Option<(u64, Instant, bool)>,
    done: bool,
    failed: bool,
    exported: bool,
    /// In the store's own time.
    pushed: Duration,
    priority: i16,
    other: bool,
}

impl Item {
    /// Lower ones go first, in microseconds.
    fn rank(&self) -> i128 {
        self.pushed.as_micros() as i128 - i128::from(self.priority) * 30_000_000
    }
}

fn payload(id: u32, other: bool) -> String {
    if other { format!("another {id}") } else { format!("payload {id}") }
}

/// All items in the order in which they were pushed, searched from the front each time.
#[derive(Debug)]
struct Model {
    items: Vec<(u32, Item)>,
    opened: Instant,
    before: Duration,
}

impl Model {
    fn new() -> Self {
        Self { items: Vec::new(), opened: Instant::now(), before: Duration::ZERO }
    }

    /// The store's own time goes on from the last push of what was not answered.
    fn reopened(&mut self) {
        let known =
            self.items.iter().filter(|(_, item)| !item.done || item.failed).map(|(_, item)| item.pushed);
        (self.opened, self.before) = (Instant::now(), known.max().unwrap_or_default());
        self.rescue(true);
    }

    fn find(&mut self, id: u32) -> Option<&mut Item> {
        self.items.iter_mut().find(|(other, _)| *other == id).map(|(_, item)| item)
    }

    fn held(&mut self, lease: u64) -> Option<&mut Item> {
        let mut items = self.items.iter_mut().map(|(_, item)| item);
        items.find(|item| item.lease.is_some_and(|(number, ..)| number == lease))
    }

    fn rescue(&mut self, all: bool) {
        for (_, item) in &mut self.items {
            if let Some((_, end, sent)) = item.lease
                && (all || end <= Instant::now())
            {
                item.lease = None;
                item.ambiguous |= sent;
            }
        }
    }

    fn claimable(&self, take: bool) -> Option<u32> {
        let free = |item: &Item| !item.done && item.lease.is_none() && (take || !item.ambiguous);
        self.items
            .iter()
            .filter(|(_, item)| free(item))
            .min_by_key(|(_, item)| item.rank())
            .map(|(id, _)| *id)
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (_, item) in &self.items {
            *match item {
                Item { exported: true, .. } => &mut counts.exported,
                Item { done: true, .. } => &mut counts.done,
                Item { lease: Some(_), .. } => &mut counts.claimed,
                Item { ambiguous: true, .. } => &mut counts.ambiguous,
                Item { .. } => &mut counts.ready,
            } += 1;
            counts.failed += usize::from(item.failed);
        }
        counts
    }
}

/// Makes the calls on both. `reopen` returns the store after a restart, if it survives one.
async fn run<S: WorkStore>(
    mut store: S,
    calls: &[Call],
    reopen: impl Fn(S) -> Option<S>,
) -> (Model, Option<S>) {
    let mut model = Model::new();
    let mut given: Vec<Lease> = Vec::new();
    let mut last_number = 0;
    for call in calls {
        let lease = |back: &usize| given.iter().rev().nth(*back).cloned();
        match call {
            Call::Push(id, priority, other) => {
                let pushed = model.before + model.opened.elapsed();
                let expected = match model.find(*id) {
                    // The payload of what was answered is gone.
                    Some(item) if item.other != *other && (item.failed || !item.done) => Pushed::Changed,
                    Some(item) if item.done => Pushed::Done,
                    Some(_) => Pushed::Unfinished,
                    None => Pushed::New,
                };
                if expected == Pushed::New {
                    let item = Item { pushed, priority: *priority, other: *other, ..Item::default() };
                    model.items.push((*id, item));
                }
                let work = Work::new(id.to_string(), payload(*id, *other)).priority(*priority);
                assert_eq!(store.push(vec![work]).await.expect("works"), [expected]);
            }
            Call::Claim(most, ttl, take) => {
                let ttl = Duration::from_millis(*ttl);
                let ambiguous = if *take { Ambiguous::Take } else { Ambiguous::Leave };
                let leases = store.claim(*most, ttl, ambiguous).await.expect("works");
                model.rescue(false);
                for lease in &leases {
                    let id = model.claimable(*take).expect("the store gave more than there is");
                    let item = model.find(id).expect("it was found");
                    item.deliveries += 1;
                    assert!(lease.number > last_number);
                    last_number = lease.number;
                    item.lease = Some((lease.number, Instant::now() + ttl, false));
                    let expected = (id.to_string(), item.deliveries, item.ambiguous, payload(id, item.other));
                    let payload = String::from_utf8(lease.payload.to_vec()).expect("text");
                    assert_eq!(
                        (lease.id.to_string(), lease.deliveries, lease.may_have_been_sent, payload),
                        expected
                    );
                }
                assert!(leases.len() == *most || model.claimable(*take).is_none());
                given.extend(leases);
            }
            Call::Sent(back) => {
                let Some(lease) = lease(back) else { continue };
                model.rescue(false);
                let held = model.held(lease.number).and_then(|item| item.lease.as_mut());
                let expected = held.map(|held| held.2 = true).is_some();
                assert_eq!(store.sent(&[&lease]).await.expect("works")[0].is_ok(), expected);
            }
            Call::Renew(back, ttl) => {
                let Some(lease) = lease(back) else { continue };
                let ttl = Duration::from_millis(*ttl);
                let held = model.held(lease.number).and_then(|item| item.lease.as_mut());
                let expected = held.map(|held| held.1 = Instant::now() + ttl).is_some();
                assert_eq!(store.renew(&[&lease], ttl).await.expect("works")[0].is_ok(), expected);
            }
            Call::Finish(back) => {
                let Some(lease) = lease(back) else { continue };
                let held = model.held(lease.number);
                let expected = held.is_some();
                if let Some(item) = held {
                    (item.lease, item.done) = (None, true);
                }
                let finished = store.finish(&[(&lease, answered(&lease.id))]).await.expect("works");
                assert_eq!(finished[0].is_ok(), expected);
            }
            Call::Fail(back) => {
                let Some(lease) = lease(back) else { continue };
                let held = model.held(lease.number);
                let expected = held.is_some();
                if let Some(item) = held {
                    (item.lease, item.done, item.failed) = (None, true, true);
                }
                let why = End::Failed(answer(&lease.id));
                assert_eq!(store.finish(&[(&lease, why)]).await.expect("works")[0].is_ok(), expected);
            }
            Call::Retry => {
                let mut count = 0;
                for (_, item) in model.items.iter_mut().filter(|(_, item)| item.failed) {
                    (item.done, item.failed, item.exported, item.ambiguous) = (false, false, false, false);
                    count += 1;
                }
                assert_eq!(store.retry_failed().await.expect("works"), count);
            }
            Call::Release(back, sent) => {
                let Some(lease) = lease(back) else { continue };
                let held = model.held(lease.number);
                let expected = held.is_some();
                if let Some(item) = held {
                    item.lease = None;
                    item.ambiguous |= sent;
                }
                assert_eq!(store.release(&[&lease], *sent).await.expect("works")[0].is_ok(), expected);
            }
            Call::Export(id) => {
                if let Some(item) = model.find(*id) {
                    item.exported |= item.done;
                }
                store.exported(&[id.to_string().into()]).await.expect("works");
            }
            Call::Wait(millis) => time::advance(Duration::from_millis(*millis)).await,
            Call::Reopen => match reopen(store) {
                Some(opened) => {
                    store = opened;
                    model.reopened();
                }
                None => return (model, None),
            },
        }
        assert_eq!(store.counts().await.expect("works"), model.counts());
        // Only where everything is durable anyway, because reading answers makes it durable.
        if !matches!(call, Call::Finish(_) | Call::Fail(_) | Call::Retry | Call::Export(_)) {
            continue;
        }
        let answers = store.answers(None, 100).await.expect("works");
        let found: Vec<_> = answers.iter().map(|one| (one.id.to_string(), one.failed)).collect();
        let done = model.items.iter().filter(|(_, item)| item.done && !item.exported);
        assert_eq!(found, done.map(|(id, item)| (id.to_string(), item.failed)).collect::<Vec<_>>());
        assert!(answers.iter().all(|one| one.bytes == answer(&one.id)));
    }
    (model, Some(store))
}

/// After a power loss, everything reported as durable is there, and nothing that was sent counts as unsent.
async fn after_power_loss(store: &FolderWork, model: &Model, released: bool) {
    let again = model.items.iter().map(|(id, item)| Work::new(id.to_string(), payload(*id, item.other)));
    let pushed = store.push(again.collect()).await.expect("works");
    let unsent: BTreeMap<Arc<str>, u32> = store
        .claim(100, Duration::from_secs(1), Ambiguous::Leave)
        .await
        .expect("works")
        .into_iter()
        .map(|lease| (lease.id, lease.deliveries))
        .collect();
    for ((id, item), pushed) in model.items.iter().zip(pushed) {
        assert_eq!(pushed, if item.done { Pushed::Done } else { Pushed::Unfinished }, "{id}");
        let sent = item.lease.is_some_and(|(.., sent)| sent);
        // A release that was not durable yet may be lost.
        if sent || item.ambiguous && !released {
            assert!(!unsent.contains_key(&*id.to_string()), "{id} may have been sent");
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

proptest! {
    #[test]
    fn memory_does_what_the_model_does(calls in calls()) {
        block_on(run(MemoryWork::new(), &calls, |_| None));
    }

    #[test]
    fn a_folder_does_what_the_model_does_over_restarts(calls in calls()) {
        let memory = Memory::new();
        block_on(async {
            let (model, store) = run(in_memory(&memory), &calls, |store| {
                drop(store);
                Some(in_memory(&memory))
            }).await;
            let left = in_memory(&memory.after_power_loss());
            drop(store);
            let released = calls.iter().any(|call| matches!(call, Call::Release(_, true)));
            after_power_loss(&left, &model, released).await;
        });
    }
}
