//! The suite that every store of work has to pass.

#[path = "work_suite/ends.rs"]
mod ends;
#[path = "work_suite/order.rs"]
mod order;
#[path = "work_suite/waits.rs"]
mod waits;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use outbound::work::{Ambiguous, Counts, End, Lease, Pushed, Work, WorkStore};
use tokio::{task::JoinSet, time};

const TTL: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(1);

/// A store with its clock in the hands of the test.
pub(crate) trait Tested: WorkStore {
    /// A short time: long enough for some calls.
    const MOMENT: Duration = MOMENT;

    /// Whether it has the payload of work that was answered.
    const KEEPS_PAYLOADS: bool = false;

    /// How exact its clock is: what takes less time than this has taken none.
    fn margin(&self) -> Duration {
        MOMENT
    }

    /// How long it takes at most until a claim finds work that goes before what was claimed last.
    fn looks(&self) -> Duration {
        Duration::ZERO
    }

    /// Moves the clock that leases go by.
    fn advance(&self, by: Duration) -> impl Future<Output = ()> + Send;
}

/// Runs the suite; each part has a store of its own.
pub(crate) async fn conforms<S: Tested + Clone + 'static>(mut new: impl AsyncFnMut() -> S) {
    pushing_twice_changes_nothing(new().await).await;
    work_is_claimed_in_order_and_once(new().await).await;
    unsent_work_of_an_expired_lease_is_ready(new().await).await;
    sent_work_of_an_expired_lease_is_ambiguous(new().await).await;
    a_stalled_holder_that_comes_back_changes_nothing(new().await).await;
    a_late_holder_may_finish_and_not_send(new().await).await;
    renewing_moves_the_end(new().await).await;
    releasing_says_what_is_known(new().await).await;
    answers_stay_until_they_are_exported(new().await).await;
    ends::failures_are_told_from_answers(new().await).await;
    ends::failed_work_is_tried_again(new().await).await;
    ends::answers_come_in_pages(new().await).await;
    a_batch_is_judged_one_by_one(new().await).await;
    the_clock_may_jump(new().await).await;
    dropped_calls_leave_nothing_half_done(new().await).await;
    many_holders(new().await).await;
}

/// The part about what goes first.
pub(crate) async fn orders<S: Tested>(mut new: impl AsyncFnMut() -> S) {
    order::higher_priorities_go_first(new().await).await;
    order::waiting_counts_as_priority(new().await).await;
    order::what_comes_later_goes_first_soon(new().await).await;
}

/// The part about waiting. Most of it is waiting, so a store whose clock is a real one runs it beside the rest.
pub(crate) async fn waits<S: Tested + Clone + 'static>(mut new: impl AsyncFnMut() -> S) {
    waits::a_wait_ends_when_work_comes(new().await).await;
    waits::a_wait_ends_for_what_expires(new().await).await;
    waits::who_does_not_claim_waits(new().await).await;
    waits::many_wait(new().await).await;
}

pub(crate) fn work(ids: impl IntoIterator<Item = u32>) -> Vec<Work> {
    ids.into_iter().map(|id| Work::new(id.to_string(), format!("payload {id}"))).collect()
}

pub(crate) fn answer(id: &str) -> Bytes {
    format!("answer {id}").into()
}

pub(crate) fn answered(id: &str) -> End {
    answer(id).into()
}

async fn push(store: &impl Tested, ids: std::ops::Range<u32>) {
    let pushed = store.push(work(ids)).await.expect("works");
    assert!(pushed.iter().all(|pushed| *pushed == Pushed::New));
}

async fn claim(store: &impl Tested, most: usize) -> Vec<Lease> {
    store.claim(most, TTL, Ambiguous::Leave).await.expect("works")
}

async fn claim_one(store: &impl Tested) -> Lease {
    let mut leases = claim(store, 1).await;
    leases.pop().expect("one is ready")
}

async fn take_one(store: &impl Tested) -> Lease {
    let mut leases = store.claim(1, TTL, Ambiguous::Take).await.expect("works");
    leases.pop().expect("one is there")
}

async fn send(store: &impl Tested, lease: &Lease) -> bool {
    store.sent(&[lease]).await.expect("works")[0].is_ok()
}

async fn finish(store: &impl Tested, lease: &Lease) -> bool {
    store.finish(&[(lease, answered(&lease.id))]).await.expect("works")[0].is_ok()
}

async fn fail(store: &impl Tested, lease: &Lease) -> bool {
    let why = End::Failed(format!("no answer to {}", lease.id).into());
    store.finish(&[(lease, why)]).await.expect("works")[0].is_ok()
}

async fn release(store: &impl Tested, lease: &Lease, sent: bool) -> bool {
    store.release(&[lease], sent).await.expect("works")[0].is_ok()
}

async fn counts(store: &impl Tested) -> [usize; 5] {
    let Counts { ready, ambiguous, claimed, done, exported, .. } = store.counts().await.expect("works");
    [ready, ambiguous, claimed, done, exported]
}

async fn pushing_twice_changes_nothing<S: Tested>(store: S) {
    use Pushed::{Changed, Done, New, Unfinished};
    let work =
        vec![Work::new("a", "first"), Work::new("b", ""), Work::new("a", "first"), Work::new("a", "other")];
    let push = async || store.push(work.clone()).await.expect("works");
    assert_eq!(push().await, [New, New, Unfinished, Changed]);
    let a = claim_one(&store).await;
    assert_eq!((&*a.id, &a.payload[..]), ("a", &b"first"[..]));
    assert_eq!(push().await, [Unfinished, Unfinished, Unfinished, Changed]);
    assert!(finish(&store, &a).await);
    // The payload of answered work may be gone.
    let changed = if S::KEEPS_PAYLOADS { Changed } else { Done };
    assert_eq!(push().await, [Done, Unfinished, Done, changed]);
    store.exported(std::slice::from_ref(&a.id)).await.expect("works");
    assert_eq!(push().await, [Done, Unfinished, Done, changed]);
    assert_eq!(counts(&store).await, [1, 0, 0, 0, 1]);
    let longer = store.push(vec![Work::new("b", "longer"), Work::new("b", "")]).await.expect("works");
    assert_eq!(longer, [Changed, Unfinished]);
    // Failed work keeps its payload.
    let b = claim_one(&store).await;
    assert_eq!((&*b.id, &b.payload[..]), ("b", &b""[..]));
    assert!(fail(&store, &b).await);
    let failed = store.push(vec![Work::new("b", "longer"), Work::new("b", "")]).await.expect("works");
    assert_eq!(failed, [Changed, Done]);
    assert!(store.push(Vec::new()).await.expect("works").is_empty());
}

async fn work_is_claimed_in_order_and_once(store: impl Tested) {
    assert!(claim(&store, 5).await.is_empty());
    push(&store, 0..10).await;
    assert!(claim(&store, 0).await.is_empty());
    let (first, second) = (claim(&store, 3).await, claim(&store, 100).await);
    assert!(claim(&store, 5).await.is_empty());
    let leases = [first, second].concat();
    let ids: Vec<_> = leases.iter().map(|lease| lease.id.to_string()).collect();
    assert!(ids.iter().cloned().eq((0..10).map(|id| id.to_string())));
    assert!(leases.is_sorted_by(|a, b| a.number < b.number));
    assert!(leases.iter().all(|lease| lease.deliveries == 1 && !lease.may_have_been_sent));
    assert_eq!(counts(&store).await, [0, 0, 10, 0, 0]);
    // Work that comes back keeps its position.
    assert!(release(&store, &leases[7], false).await && release(&store, &leases[2], false).await);
    let again = claim(&store, 5).await;
    assert_eq!(again.iter().map(|lease| &*lease.id).collect::<Vec<_>>(), ["2", "7"]);
}

async fn unsent_work_of_an_expired_lease_is_ready(store: impl Tested) {
    push(&store, 0..1).await;
    let first = claim_one(&store).await;
    store.advance(TTL - store.margin()).await;
    assert_eq!(store.rescue().await.expect("works"), 0);
    assert!(claim(&store, 1).await.is_empty());
    store.advance(store.margin()).await;
    assert_eq!(counts(&store).await, [0, 0, 1, 0, 0]);
    assert_eq!(store.rescue().await.expect("works"), 1);
    assert_eq!(counts(&store).await, [1, 0, 0, 0, 0]);
    let second = claim_one(&store).await;
    assert!(second.number > first.number);
    assert_eq!((second.deliveries, second.may_have_been_sent, &second.payload), (2, false, &first.payload));
}

async fn sent_work_of_an_expired_lease_is_ambiguous(store: impl Tested) {
    push(&store, 0..2).await;
    let first = claim_one(&store).await;
    assert!(send(&store, &first).await && send(&store, &first).await);
    store.advance(TTL).await;
    // Those who leave it get what is behind it.
    let other = claim_one(&store).await;
    assert_eq!(&*other.id, "1");
    assert!(claim(&store, 5).await.is_empty());
    assert_eq!(counts(&store).await, [0, 1, 1, 0, 0]);
    let second = take_one(&store).await;
    assert_eq!((&*second.id, second.deliveries, second.may_have_been_sent), ("0", 2, true));
    // It stays so, even if this time nothing was sent.
    store.advance(TTL).await;
    assert!(claim(&store, 5).await.iter().all(|lease| &*lease.id == "1"));
    assert!(take_one(&store).await.may_have_been_sent);
}

async fn a_stalled_holder_that_comes_back_changes_nothing(store: impl Tested) {
    push(&store, 0..1).await;
    let stalled = claim_one(&store).await;
    assert!(send(&store, &stalled).await);
    store.advance(TTL * 2).await;
    let present = take_one(&store).await;
    for _ in 0..2 {
        assert!(!send(&store, &stalled).await);
        assert!(!release(&store, &stalled, false).await);
        assert!(store.renew(&[&stalled], TTL).await.expect("works")[0].is_err());
        let stale = store.finish(&[(&stalled, "late".into())]).await.expect("works").remove(0);
        let stale = stale.expect_err("another has it");
        assert_eq!((&*stale.id, stale.number), ("0", stalled.number));
        assert_eq!(
            stale.to_string(),
            format!("lease {} of the work \"0\" is not held any more", stalled.number)
        );
    }
    assert_eq!(counts(&store).await, [0, 0, 1, 0, 0]);
    assert!(send(&store, &present).await && finish(&store, &present).await);
    // Done work stays done, for the present holder as well.
    assert!(!finish(&store, &present).await && !finish(&store, &stalled).await);
    let answers = store.answers(None, 9).await.expect("works");
    assert_eq!((answers.len(), &answers[0].bytes), (1, &answer("0")));
}

async fn a_late_holder_may_finish_and_not_send(store: impl Tested) {
    push(&store, 0..2).await;
    let leases = claim(&store, 2).await;
    assert!(send(&store, &leases[0]).await);
    store.advance(TTL * 3).await;
    assert!(finish(&store, &leases[0]).await, "it was paid for, and nobody took it back");
    assert!(!send(&store, &leases[1]).await);
    store.rescue().await.expect("works");
    assert_eq!(counts(&store).await, [1, 0, 0, 1, 0]);
}

async fn renewing_moves_the_end(store: impl Tested) {
    push(&store, 0..3).await;
    let leases = claim(&store, 3).await;
    for _ in 0..5 {
        store.advance(TTL - store.margin()).await;
        assert!(store.renew(&[&leases[0]], TTL).await.expect("works")[0].is_ok());
    }
    assert!(
        store.renew(&[&leases[1]], Duration::MAX).await.expect("works")[0].is_ok(),
        "late, but not taken back"
    );
    assert_eq!(store.rescue().await.expect("works"), 1);
    assert!(store.renew(&[&leases[0]], store.margin()).await.expect("works")[0].is_ok());
    store.advance(store.margin()).await;
    assert_eq!(store.rescue().await.expect("works"), 1);
    store.advance(TTL * 1_000_000).await;
    assert_eq!(store.rescue().await.expect("works"), 0);
    assert!(finish(&store, &leases[1]).await);
    assert_eq!(counts(&store).await, [2, 0, 0, 1, 0]);
}

async fn releasing_says_what_is_known(store: impl Tested) {
    push(&store, 0..1).await;
    let lease = claim_one(&store).await;
    assert!(send(&store, &lease).await);
    // It was refused, so it was not processed.
    assert!(release(&store, &lease, false).await);
    assert!(!release(&store, &lease, false).await && !finish(&store, &lease).await);
    let lease = claim_one(&store).await;
    assert_eq!((lease.deliveries, lease.may_have_been_sent), (2, false));
    assert!(send(&store, &lease).await && release(&store, &lease, true).await);
    assert_eq!(counts(&store).await, [0, 1, 0, 0, 0]);
    // An earlier holder may have sent it, and that stays so.
    let lease = take_one(&store).await;
    assert!(release(&store, &lease, false).await);
    assert_eq!(counts(&store).await, [0, 1, 0, 0, 0]);
}

async fn answers_stay_until_they_are_exported(store: impl Tested) {
    push(&store, 0..5).await;
    let leases = claim(&store, 4).await;
    for lease in leases.iter().rev() {
        assert!(finish(&store, lease).await);
    }
    let ids = |answers: &[outbound::work::Answer]| {
        answers.iter().map(|answer| answer.id.clone()).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let answers = store.answers(None, 3).await.expect("works");
        assert_eq!(ids(&answers).iter().map(|id| &**id).collect::<Vec<_>>(), ["0", "1", "2"]);
        assert!(answers.iter().all(|one| one.bytes == answer(&one.id)));
    }
    let some: Vec<Arc<str>> = vec!["1".into(), "4".into(), "unknown".into(), "1".into()];
    store.exported(&some).await.expect("works");
    store.exported(&some).await.expect("works");
    assert_eq!(counts(&store).await, [1, 0, 0, 3, 1]);
    let rest = store.answers(None, 9).await.expect("works");
    assert_eq!(ids(&rest).iter().map(|id| &**id).collect::<Vec<_>>(), ["0", "2", "3"]);
    store.exported(&ids(&rest)).await.expect("works");
    assert!(store.answers(None, 9).await.expect("works").is_empty());
    assert_eq!(counts(&store).await, [1, 0, 0, 0, 4]);
}

async fn a_batch_is_judged_one_by_one(store: impl Tested) {
    push(&store, 0..4).await;
    let leases = claim(&store, 4).await;
    assert!(finish(&store, &leases[1]).await);
    let all: Vec<_> = leases.iter().collect();
    let held =
        |held: Vec<Result<(), outbound::work::Stale>>| held.iter().map(Result::is_ok).collect::<Vec<_>>();
    assert_eq!(held(store.sent(&all).await.expect("works")), [true, false, true, true]);
    assert_eq!(held(store.renew(&all, TTL).await.expect("works")), [true, false, true, true]);
    assert_eq!(held(store.release(&all[2..3], true).await.expect("works")), [true]);
    let twice =
        [(all[0], answered("0")), (all[0], "again".into()), (all[2], answered("2")), (all[3], answered("3"))];
    assert_eq!(held(store.finish(&twice).await.expect("works")), [true, false, false, true]);
    assert_eq!(counts(&store).await, [0, 1, 0, 3, 0]);
    assert!(store.answers(None, 9).await.expect("works").iter().all(|one| one.bytes == answer(&one.id)));
}

async fn the_clock_may_jump(store: impl Tested) {
    push(&store, 0..1).await;
    for round in 1..=20 {
        let lease = take_one(&store).await;
        assert_eq!(lease.deliveries, round);
        // Days go by, while the process was stopped.
        store.advance(Duration::from_secs(u64::from(round) * 86_400)).await;
    }
    let lease = take_one(&store).await;
    assert!(finish(&store, &lease).await);
}

async fn dropped_calls_leave_nothing_half_done(store: impl Tested) {
    async fn begin<F: Future>(future: F) {
        let mut future = pin!(future);
        for _ in 0..3 {
            if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                return;
            }
        }
    }
    begin(store.push(work(0..50))).await;
    let pushed = store.push(work(0..50)).await.expect("works");
    assert!(pushed.iter().all(|pushed| *pushed != Pushed::Done));
    begin(store.claim(10, TTL, Ambiguous::Leave)).await;
    store.advance(TTL).await;
    assert_eq!(claim(&store, 100).await.len(), 50, "what a dropped claim took comes back");
    store.advance(TTL).await;
    let leases = claim(&store, 100).await;
    assert_eq!(leases.len(), 50);
    let all: Vec<_> = leases.iter().collect();
    begin(store.sent(&all)).await;
    assert!(store.sent(&all).await.expect("works").iter().all(Result::is_ok));
    let answers: Vec<_> = leases.iter().map(|lease| (lease, answered(&lease.id))).collect();
    begin(store.finish(&answers)).await;
    let _ = store.finish(&answers).await.expect("works");
    assert_eq!(counts(&store).await, [0, 0, 0, 50, 0]);
    let ids: Vec<_> = leases.iter().map(|lease| lease.id.clone()).collect();
    begin(store.exported(&ids)).await;
    store.exported(&ids).await.expect("works");
    assert_eq!(counts(&store).await, [0, 0, 0, 0, 50]);
}

/// 32 tasks that die, stall, are refused and come late: each piece of work has one answer.
pub(crate) async fn many_holders<S: Tested + Clone + 'static>(store: S) {
    push(&store, 0..400).await;
    let accepted = Arc::new(Mutex::new(BTreeMap::<String, Bytes>::new()));
    let mut tasks = JoinSet::new();
    for task in 0..32_u64 {
        let (store, accepted) = (store.clone(), accepted.clone());
        tasks.spawn(async move {
            for round in 0.. {
                let leases = store.claim(3, S::MOMENT * 20, Ambiguous::Take).await.expect("works");
                if leases.is_empty() && store.counts().await.expect("works").done == 400 {
                    return;
                }
                assert!(round < 20_000, "it goes on for ever");
                for lease in leases {
                    match (task * 7 + lease.number) % 11 {
                        // Dies without notice, before or after it has sent.
                        0 => {}
                        1 => drop(store.sent(&[&lease]).await.expect("works")),
                        2 => drop(store.release(&[&lease], false).await.expect("works")),
                        late => {
                            if store.sent(&[&lease]).await.expect("works")[0].is_err() {
                                continue;
                            }
                            if late == 3 {
                                time::sleep(S::MOMENT * 30).await;
                            }
                            let own = Bytes::from(format!("{} by {}", lease.id, lease.number));
                            if store.finish(&[(&lease, own.clone().into())]).await.expect("works")[0].is_ok()
                            {
                                let before =
                                    accepted.lock().expect("no panic").insert(lease.id.to_string(), own);
                                assert_eq!(before, None, "one answer was taken before");
                            }
                        }
                    }
                }
                time::sleep(S::MOMENT).await;
            }
        });
    }
    tasks.join_all().await;
    let answers = store.answers(None, 1000).await.expect("works");
    let answers: BTreeMap<_, _> = answers.into_iter().map(|one| (one.id.to_string(), one.bytes)).collect();
    assert_eq!(answers, *accepted.lock().expect("no panic"));
    assert_eq!(answers.len(), 400);
}
