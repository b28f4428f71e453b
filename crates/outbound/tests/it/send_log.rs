//! The send log: what is written before a request is sent.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use outbound::{ErrorKind, Request, SendLog, Sending, Withdrawn, Written};
use outbound_simulator::{Fault, Refusal, Simulator};
use tokio::time::Instant;

use crate::stack::{all_succeeded, chat, manager, ms, provider, run, s};

/// A log that keeps its entries as words.
#[derive(Clone, Default)]
struct Words {
    entries: Arc<Mutex<Vec<String>>>,
    /// How long each entry takes.
    takes: Duration,
    /// It fails after this many entries.
    room: Option<usize>,
    /// With this, each entry also has the number of sends that the server has seen.
    server: Option<Simulator>,
}

impl Words {
    fn entries(&self) -> Vec<String> {
        self.entries.lock().expect("no panic").clone()
    }

    fn say(&self, word: &str, request: Sending<'_>) -> usize {
        let mut entries = self.entries.lock().expect("no panic");
        entries.push(format!("{word} {}", request.id.unwrap_or_default()));
        entries.len()
    }
}

impl SendLog for Words {
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a> {
        Box::pin(async move {
            if request.is_logged {
                return Ok(());
            }
            let sends = self.server.as_ref().map(|server| server.ledger().sends());
            tokio::time::sleep(self.takes).await;
            // Nothing was sent while the entry was written.
            assert_eq!(self.server.as_ref().map(|server| server.ledger().sends()), sends);
            let written = self.say("sending", request);
            match self.room {
                Some(room) if written > room => Err("the disk is full".into()),
                _ => Ok(()),
            }
        })
    }

    fn not_processed(&self, request: Sending<'_>) {
        self.say("not processed", request);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_until_the_log_is_written() {
    let simulator = provider().build();
    let log = Words { takes: s(3), server: Some(simulator.clone()), ..Words::default() };
    let manager = manager(&simulator).max_concurrent(1).send_log(log.clone()).build().expect("a manager");
    let began = Instant::now();
    all_succeeded(&run(&manager, 2).await);
    assert!(began.elapsed() >= s(6));
    assert_eq!(log.entries(), ["sending r0", "sending r1"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_status_refuses_was_not_processed_and_is_logged_again() {
    for refusal in [Refusal::rate_limited(), Refusal::status(503)] {
        let simulator = provider().fault_on_attempt(refusal, 1).build();
        let log = Words::default();
        let manager = manager(&simulator).send_log(log.clone()).build().expect("a manager");
        let outcome = manager.send(chat(1)).await;
        assert!(outcome.result.is_ok() && !outcome.possible_duplicate, "{outcome:?}");
        assert_eq!(log.entries(), ["sending r1", "not processed r1", "sending r1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_processed_stays_in_the_log() {
    // The first attempt is reset after the request was written. The refusal of the second one does not undo that.
    let simulator = provider()
        .fault_on_attempt(Fault::ResetBeforeHeaders, 1)
        .fault_on_attempt(Refusal::rate_limited(), 2)
        .fault_on_attempt(Refusal::status(503), 3)
        .build();
    let log = Words::default();
    let manager = manager(&simulator).send_log(log.clone()).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert!(outcome.result.is_ok() && outcome.possible_duplicate, "{outcome:?}");
    assert_eq!((outcome.sends, log.entries()), (4, vec![String::from("sending r1")]));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_stops_the_batch_and_sends_nothing_more() {
    let simulator = provider().build();
    let log = Words { room: Some(5), ..Words::default() };
    let manager = manager(&simulator).max_concurrent(2).send_log(log.clone()).build().expect("a manager");
    let mut batch = manager.batch((0..100).map(chat));
    let mut succeeded = 0;
    while let Some(outcome) = batch.next().await {
        assert!(outcome.result.is_ok(), "{outcome:?}");
        succeeded += 1;
    }
    assert_eq!(
        (succeeded, simulator.ledger().sends()),
        (5, 5),
        "what was written down is brought to its end"
    );
    let stopped = batch.stopped().expect("it is stopped");
    assert_eq!(stopped.kind, ErrorKind::Stopped);
    assert!(stopped.message.ends_with("the send log could not be written: the disk is full"), "{stopped:?}");
    let rest = batch.into_rest();
    let source: Vec<_> = rest.source.expect("not read to its end").collect().await;
    assert_eq!(rest.requests.len() + source.len(), 95);
    let outcome = manager.send(chat(1)).await;
    assert_eq!(outcome.error_kind(), Some(ErrorKind::Stopped));
    assert!(outcome.unsent.is_some(), "it is handed back");
    assert_eq!(simulator.ledger().sends(), 5);
}

/// A log that withdraws every second request.
struct EverySecond;

impl SendLog for EverySecond {
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a> {
        let is_withdrawn = request.number % 2 == 1;
        Box::pin(async move { if is_withdrawn { Err(Withdrawn.into()) } else { Ok(()) } })
    }
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_request_ends_alone() {
    let simulator = provider().build();
    let builder = manager(&simulator).max_concurrent(2).requests_per_minute(600);
    let manager = builder.send_log(EverySecond).build().expect("a manager");
    // More than a batch holds back after a stop.
    let mut batch = manager.batch((0..100).map(chat));
    let (mut succeeded, mut withdrawn) = (0, 0);
    while let Some(outcome) = batch.next().await {
        match outcome.error_kind() {
            None => succeeded += 1,
            Some(kind) => {
                assert_eq!((kind, outcome.sends), (ErrorKind::Cancelled, 0), "{outcome:?}");
                assert!(outcome.unsent.is_some(), "it is handed back");
                withdrawn += 1;
            }
        }
    }
    assert_eq!((succeeded, withdrawn, simulator.ledger().sends()), (50, 50, 50));
    assert!(batch.stopped().is_none());
    assert_eq!(manager.snapshot().endpoints[0].quota.in_flight, 0, "nothing is held");
}

/// A log that is written for all at the same moment, and withdraws what an earlier run may have sent.
struct All(Instant);

impl SendLog for All {
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a> {
        Box::pin(async move {
            tokio::time::sleep_until(self.0).await;
            if request.is_logged { Err(Withdrawn.into()) } else { Ok(()) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_long_write_the_limits_are_asked_again() {
    let simulator = provider().build();
    let (began, written) = (Instant::now(), Instant::now() + s(60));
    let builder = manager(&simulator)
        .max_concurrent(100)
        .requests_per_minute(600)
        .send_log(All(written))
        .quota_store(outbound::quota_store::MemoryQuota::new());
    let manager = builder.build().expect("a manager");
    let mut batch = manager.batch((0..100).map(chat));
    let ended = async {
        while let Some(outcome) = batch.next().await {
            assert!(outcome.result.is_ok(), "{outcome:?}");
        }
    };
    let soon = async {
        tokio::time::sleep_until(written + ms(100)).await;
        let sends = simulator.ledger().sends();
        assert!(sends < 40, "{sends} at once, where ten a second are allowed");
    };
    tokio::join!(ended, soon);
    assert_eq!(simulator.ledger().sends(), 100);
    assert!(began.elapsed() < s(72), "{:?}", began.elapsed());
    assert_eq!(manager.snapshot().endpoints[0].quota.in_flight, 0, "nothing is held");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_may_have_sent_can_be_withdrawn() {
    let simulator = provider().build();
    let manager = manager(&simulator).send_log(All(Instant::now())).build().expect("a manager");
    let outcome = manager.send(chat(1).maybe_sent_before()).await;
    assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Cancelled), 0), "{outcome:?}");
    assert!(!outcome.possible_duplicate && simulator.ledger().sends() == 0);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_may_have_sent_is_a_possible_duplicate_once_it_is_sent() {
    let simulator = provider().fault_on_attempt(Refusal::rate_limited(), 1).build();
    let log = Words::default();
    let manager = manager(&simulator).send_log(log.clone()).build().expect("a manager");
    let outcome = manager.send(chat(1).maybe_sent_before()).await;
    assert!(outcome.result.is_ok() && outcome.possible_duplicate && outcome.sends == 2, "{outcome:?}");
    assert!(log.entries().is_empty(), "a refusal of this run says nothing of the earlier one");
    // A request that is never sent is no duplicate.
    manager.shutdown(ms(0)).await;
    let outcome = manager.send(chat(2).maybe_sent_before()).await;
    assert!(outcome.result.is_err() && !outcome.possible_duplicate, "{outcome:?}");
    // Nor is a request that may be sent twice without further effect.
    let other = crate::stack::manager(&simulator).build().expect("a manager");
    let outcome = other.send(Request::get("/models").maybe_sent_before()).await;
    assert!(!outcome.possible_duplicate && outcome.sends == 1, "{outcome:?}");
}
