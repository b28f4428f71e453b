//! The driver against a model, over random histories. Requests come in every way that the manager has. Futures and
//! batches are dropped, read slowly or not at all, and aborted, and the manager is shut down at any moment. No outcome
//! is lost, and none comes twice.

use std::{collections::BTreeMap, time::Duration};

use futures::{FutureExt, StreamExt, future::join_all};
use outbound::{ErrorKind, Outcome, RequestManager};
use outbound_simulator::{Fault, Latency, Refusal, Simulator, Trouble};
use tokio::time::{Instant, sleep};

use crate::stack::{chat, manager, ms, provider, s};

/// Random numbers (Steele, Lea, Flood: `SplitMix64`).
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn time(&mut self, most: u64) -> Duration {
        ms(self.below(most))
    }
}

/// For each id of a history, how often it had an outcome or came back unsent.
type Seen = BTreeMap<String, u32>;

fn note(seen: &mut Seen, outcome: &Outcome) {
    *seen.entry(outcome.id.clone().expect("an id")).or_default() += 1;
    let listed =
        outcome.attempts.iter().filter(|attempt| attempt.delivery != outbound::client::Delivery::NotSent);
    assert_eq!(listed.count() as u32, outcome.sends, "{outcome:?}");
    assert!(outcome.unsent.is_none() || outcome.sends == 0, "{outcome:?}");
    assert!(!outcome.possible_duplicate || outcome.sends > 1, "{outcome:?}");
}

/// The number of histories. A longer run sets it higher.
fn histories() -> u64 {
    std::env::var("OUTBOUND_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

/// With this draw a server loses calls for a while. Answers on their way are lost then, and paid for again.
const SWALLOWS: u64 = 8;

fn simulator(draws: &mut Draws) -> (Simulator, bool) {
    let mut provider = provider().latency(Latency::fixed(draws.time(800)));
    if draws.below(2) == 0 {
        provider = provider
            .fault(Refusal::status(500), 0.1)
            .fault(Fault::ResetBeforeHeaders, 0.05)
            .fault(Refusal::rate_limited().retry_after_ms(ms(300)), 0.1)
            .fault(Refusal::status(503), 0.1);
    }
    let draw = draws.below(9);
    let simulator = match draw {
        0 => provider.fault(Refusal::quota_spent(), 1.0).build(),
        1 => provider.fault(Refusal::status(400), 0.5).build(),
        2 => provider.fault(Fault::Silence, 0.2).build(),
        SWALLOWS => {
            let begins = draws.time(3_000);
            provider.trouble(Trouble::Swallowed, begins..begins + draws.time(40_000)).build()
        }
        _ => provider.build(),
    };
    (simulator, draw == SWALLOWS)
}

async fn history(seed: u64) {
    let mut draws = Draws(seed);
    let (simulator, swallows) = simulator(&mut draws);
    let max_concurrent = 1 + draws.below(6) as usize;
    let limit = if draws.below(2) == 0 { s(3) } else { s(30) };
    let builder =
        manager(&simulator).max_concurrent(max_concurrent).attempt_timeout(limit).deadline(s(60)).seed(seed);
    let manager = builder.build().expect("a manager");
    let shuts_down_at = (draws.below(3) == 0).then(|| draws.time(4_000));

    let batch = batch_face(manager.clone(), Draws(seed ^ 1), 0);
    let sends = send_face(manager.clone(), Draws(seed ^ 2), 100);
    let tickets = submit_face(manager.clone(), Draws(seed ^ 3), 200);
    let shutdown = async {
        let Some(at) = shuts_down_at else { return Vec::new() };
        sleep(at).await;
        // Dropping a shutdown half way loses nothing.
        drop(manager.shutdown(s(1)).now_or_never());
        manager.shutdown(draws.time(2_000)).await.returned
    };
    let (of_batch, of_sends, of_tickets, returned) = tokio::join!(batch, sends, tickets, shutdown);
    for seen in [&of_batch, &of_sends] {
        assert!(seen.values().all(|times| *times == 1), "seed {seed}: {seen:?}");
    }
    // A submitted request that was not sent is returned by the shutdown, and its ticket resolves too.
    assert!(of_tickets.values().all(|times| *times == 1), "seed {seed}: {of_tickets:?}");
    // Longer than any deadline, so requests that were sent end by themselves.
    let report = manager.shutdown(s(120)).await;
    assert_eq!(report.aborted, 0, "seed {seed}: nobody is left inside");
    // Requests with a dropped ticket come back too, from the shutdown that finds them waiting. None comes back twice.
    let mut ids: Vec<_> =
        returned.iter().chain(&report.returned).filter_map(|request| request.get_id()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "seed {seed}");
    assert!(report.returned.is_empty() || shuts_down_at.is_none(), "seed {seed}: the first gives all back");
    let duplicates = simulator.ledger().duplicates();
    assert!(duplicates == 0 || swallows, "seed {seed}: an answer was bought twice");
}

/// A batch that may be read slowly, read in order, or dropped before its end. Each of its outcomes is of another
/// request.
async fn batch_face(manager: RequestManager, mut draws: Draws, first: usize) -> Seen {
    let requests = draws.below(14) as usize;
    let mut batch = manager.batch((first..first + requests).map(chat));
    if draws.below(2) == 0 {
        batch = batch.in_order();
    }
    let gives_up_after = if draws.below(4) == 0 { draws.below(6) } else { u64::MAX };
    let (mut seen, mut read, mut last) = (Seen::new(), 0, None);
    while let Some(outcome) = batch.next().await {
        note(&mut seen, &outcome);
        read += 1;
        if draws.below(3) == 0 {
            batch = batch.in_order();
            last = None;
        }
        let _ = last.replace(outcome.index);
        if read >= gives_up_after {
            return seen;
        }
        if draws.below(3) == 0 {
            sleep(draws.time(5_000)).await;
        }
    }
    // Read to its end, each request has an outcome or comes back.
    let rest = batch.into_rest();
    let unread = match rest.source {
        Some(source) => source.collect::<Vec<_>>().await,
        None => Vec::new(),
    };
    for request in rest.requests.iter().chain(&unread) {
        *seen.entry(request.get_id().expect("an id").to_owned()).or_default() += 1;
    }
    assert_eq!(seen.len(), requests, "{seen:?}");
    seen
}

async fn send_face(manager: RequestManager, mut draws: Draws, first: usize) -> Seen {
    let sends = (0..draws.below(6) as usize).map(|id| {
        let (manager, wait, patience) = (manager.clone(), draws.time(2_000), draws.time(3_000));
        let patient = draws.below(3) > 0;
        async move {
            sleep(wait).await;
            let send = manager.send(chat(first + id));
            if patient { Some(send.await) } else { tokio::time::timeout(patience, send).await.ok() }
        }
    });
    let mut seen = Seen::new();
    join_all(sends).await.into_iter().flatten().for_each(|outcome| note(&mut seen, &outcome));
    seen
}

/// Submitted requests, some with dropped tickets.
async fn submit_face(manager: RequestManager, mut draws: Draws, first: usize) -> Seen {
    let mut tickets = Vec::new();
    for id in 0..draws.below(8) as usize {
        if let Ok(ticket) = manager.submit(chat(first + id)).await
            && draws.below(4) > 0
        {
            tickets.push(ticket);
        }
        sleep(draws.time(300)).await;
    }
    let mut seen = Seen::new();
    join_all(tickets).await.iter().for_each(|outcome| note(&mut seen, outcome));
    seen
}

#[test]
fn no_outcome_is_lost_and_none_comes_twice() {
    for seed in 0..histories() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(history(seed));
    }
}

/// The runtime of the first `submit` ends. The next request runs on another one.
#[test]
fn a_runtime_that_ends_ends_its_requests_and_no_others() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    let simulator = provider().latency(Latency::fixed(s(5))).build();
    let (first, second) = (runtime(), runtime());
    let manager = manager(&simulator).build().expect("a manager");
    let ticket = first.block_on(manager.submit(chat(1))).expect("open");
    first.block_on(async { sleep(s(1)).await });
    drop(first);
    second.block_on(async {
        let outcome = ticket.await;
        assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::ShutDown), 1), "{outcome:?}");
        let ticket = manager.submit(chat(2)).await.expect("open");
        assert!(ticket.await.result.is_ok(), "the second runtime has its own tasks");
        assert!(manager.send(chat(3)).await.result.is_ok());
    });
}

/// slow-consumer: a slow reader makes requests time out, and they are sent again.
#[tokio::test(start_paused = true)]
async fn a_slow_consumer_buys_nothing_twice() {
    let simulator = provider().latency(Latency::fixed(s(1))).build();
    let manager = manager(&simulator).max_concurrent(8).attempt_timeout(s(4)).build().expect("a manager");
    let mut batch = manager.batch((0..200).map(chat));
    let mut given = 0;
    while let Some(outcome) = batch.next().await {
        assert!(outcome.result.is_ok() && outcome.sends == 1, "{outcome:?}");
        given += 1;
        sleep(s(6)).await;
    }
    assert_eq!((given, simulator.ledger().sends()), (200, 200));
}

/// A batch that is not read takes no more requests than its bounds allow. Its outcomes are there when it is read again.
#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_read_stops_at_its_bounds() {
    let simulator = provider().latency(Latency::fixed(ms(10))).build();
    let manager = manager(&simulator).max_concurrent(4).build().expect("a manager");
    let taken = std::rc::Rc::new(std::cell::Cell::new(0_usize));
    let counted = std::rc::Rc::clone(&taken);
    let mut batch = manager.batch((0..1_000).map(move |id| {
        counted.set(counted.get() + 1);
        chat(id)
    }));
    assert!(batch.next().await.is_some());
    sleep(s(60)).await;
    assert!(taken.get() <= 1 + 4 * 4 + 4 + 4, "{} taken", taken.get());
    let began = Instant::now();
    let rest = batch.by_ref().take(4).collect::<Vec<_>>().await;
    assert_eq!((rest.len(), began.elapsed()), (4, Duration::ZERO), "they waited here");
    assert_eq!(batch.count().await, 1_000 - 5);
}
