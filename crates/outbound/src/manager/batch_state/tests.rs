//! When a batch takes further requests, when its reader is woken, and when a stop ends it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    task::Wake,
};

use http::Method;
use tokio::time::Instant;

use super::*;
use crate::manager::{error::Error, record::Record};

/// Counts how often the reader is woken.
#[derive(Default)]
struct Reader(AtomicU32);

impl Wake for Reader {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn why() -> Stopped {
    Stopped { kind: ErrorKind::Auth, message: String::from("no"), until: None }
}

/// The outcome of a request that failed, or that a stop kept from being sent.
fn outcome(index: usize, held_back: bool) -> Outcome {
    let kind = if held_back { ErrorKind::Stopped } else { ErrorKind::Server };
    let unsent = held_back.then(|| Request::get("/"));
    Record::new(Instant::now()).into_outcome(Err(Error::new(kind, "no")), None, index, unsent)
}

fn next(batch: &BatchState, first: Option<usize>) -> Poll<Option<usize>> {
    batch.poll_outcome(first, false, Waker::noop()).map(|outcome| outcome.map(|outcome| outcome.index))
}

#[test]
fn a_stop_of_the_only_account_ends_the_intake_at_once() {
    for (one_endpoint, whole_account, takes) in
        [(true, true, false), (true, false, true), (false, true, true)]
    {
        let batch = BatchState::new(2, None, one_endpoint);
        batch.taken();
        batch.scope_stopped(&why(), whole_account);
        assert_eq!(batch.takes(Waker::noop()), takes, "{one_endpoint} {whole_account}");
        assert_eq!(next(&batch, None), Poll::Pending, "one is under way");
        assert!(!batch.ended(Stage::Ready, outcome(0, true)));
        // No request is in flight and none has succeeded. With one endpoint the batch ends, though its source has not
        // ended.
        let ends = if one_endpoint { Poll::Ready(None) } else { Poll::Pending };
        assert_eq!(next(&batch, None), ends);
        let rest = batch.take_rest();
        assert_eq!(rest.iter().map(|request| &request.method).collect::<Vec<_>>(), [Method::GET]);
        batch.scope_stopped(&Stopped { message: String::from("not either"), ..why() }, false);
        assert_eq!(batch.stopped(), Some(why()), "the first stop is reported");
    }
}

#[test]
fn no_more_is_taken_than_is_read() {
    let batch = BatchState::new(1, None, true);
    for index in 0..4 {
        assert!(batch.takes(Waker::noop()), "{index}");
        batch.taken();
        batch.moved(Stage::Ready, Stage::InFlight);
        batch.ended(Stage::InFlight, outcome(index, false));
    }
    let reader = Arc::new(Reader::default());
    assert!(!batch.takes(&Arc::clone(&reader).into()), "four wait to be read");
    assert_eq!(next(&batch, Some(2)), Poll::Ready(Some(2)));
    assert!(batch.takes(Waker::noop()));
    assert_eq!(reader.0.load(Ordering::Relaxed), 1, "there is room again");
    assert_eq!(next(&batch, Some(7)), Poll::Pending);
    assert_eq!([next(&batch, None), next(&batch, None)], [Poll::Ready(Some(0)), Poll::Ready(Some(1))]);
}

#[test]
fn the_reader_is_woken_when_a_request_makes_room() {
    let batch = BatchState::new(1, None, true);
    let reader = Arc::new(Reader::default());
    let (woken, waker) = (|| reader.0.load(Ordering::Relaxed), Arc::clone(&reader).into());
    batch.taken();
    assert!(!batch.takes(&waker), "one waits for its turn");
    batch.moved(Stage::Ready, Stage::InFlight);
    assert_eq!((woken(), batch.takes(&waker)), (1, true));
    batch.taken();
    assert!(!batch.takes(&waker));
    batch.ended(Stage::InFlight, outcome(0, false));
    assert_eq!(woken(), 2, "an outcome is there");
}
