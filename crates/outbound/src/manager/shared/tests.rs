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

/// An outcome of a request that failed, or was kept back.
fn outcome(index: usize, kept_back: bool) -> Outcome {
    let kind = if kept_back { ErrorKind::Stopped } else { ErrorKind::Server };
    let unsent = kept_back.then(|| Request::get("/"));
    Record::new(Instant::now()).into_outcome(Err(Error::new(kind, "no")), None, index, unsent)
}

fn next(shared: &Shared, first: Option<usize>) -> Poll<Option<usize>> {
    shared.poll_outcome(first, false, Waker::noop()).map(|outcome| outcome.map(|outcome| outcome.index))
}

#[test]
fn a_stop_of_the_only_account_ends_the_intake_at_once() {
    for (one_endpoint, whole_account, takes) in
        [(true, true, false), (true, false, true), (false, true, true)]
    {
        let shared = Shared::new(2, None, one_endpoint);
        shared.taken();
        shared.scope_stopped(&why(), whole_account);
        assert_eq!(shared.takes(Waker::noop()), takes, "{one_endpoint} {whole_account}");
        assert_eq!(next(&shared, None), Poll::Pending, "one is under way");
        assert!(!shared.ended(Place::Ready, outcome(0, true)));
        // Nothing is under way and nothing has succeeded: with one endpoint it ends, though the source has not.
        let ends = if one_endpoint { Poll::Ready(None) } else { Poll::Pending };
        assert_eq!(next(&shared, None), ends);
        let rest = shared.take_rest();
        assert_eq!(rest.iter().map(|request| &request.method).collect::<Vec<_>>(), [Method::GET]);
        shared.scope_stopped(&Stopped { message: String::from("not either"), ..why() }, false);
        assert_eq!(shared.stopped(), Some(why()), "the first is what is told");
    }
}

#[test]
fn no_more_is_taken_than_is_read() {
    let shared = Shared::new(1, None, true);
    for index in 0..4 {
        assert!(shared.takes(Waker::noop()), "{index}");
        shared.taken();
        shared.moved(Place::Ready, Place::InFlight);
        shared.ended(Place::InFlight, outcome(index, false));
    }
    let reader = Arc::new(Reader::default());
    assert!(!shared.takes(&Arc::clone(&reader).into()), "four wait to be read");
    assert_eq!(next(&shared, Some(2)), Poll::Ready(Some(2)));
    assert!(shared.takes(Waker::noop()));
    assert_eq!(reader.0.load(Ordering::Relaxed), 1, "there is room again");
    assert_eq!(next(&shared, Some(7)), Poll::Pending);
    assert_eq!([next(&shared, None), next(&shared, None)], [Poll::Ready(Some(0)), Poll::Ready(Some(1))]);
}

#[test]
fn the_reader_is_woken_when_a_request_makes_room() {
    let shared = Shared::new(1, None, true);
    let reader = Arc::new(Reader::default());
    let (woken, waker) = (|| reader.0.load(Ordering::Relaxed), Arc::clone(&reader).into());
    shared.taken();
    assert!(!shared.takes(&waker), "one waits for its turn");
    shared.moved(Place::Ready, Place::InFlight);
    assert_eq!((woken(), shared.takes(&waker)), (1, true));
    shared.taken();
    assert!(!shared.takes(&waker));
    shared.ended(Place::InFlight, outcome(0, false));
    assert_eq!(woken(), 2, "an outcome is there");
}
