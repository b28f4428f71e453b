//! How a worker waits for work.

use std::{pin::pin, time::Duration};

use outbound::work::Ambiguous;
use tokio::time::{Instant, sleep, timeout};

use super::{TTL, Tested, claim, claim_one, fail, finish, push, release, send, work};

/// A wait takes no longer than this.
const AT_MOST: Duration = Duration::from_secs(3);

/// Nothing is ready, and the waits that end early for what was there before are over.
async fn settled(store: &impl Tested) {
    for _ in 0..10 {
        assert!(claim(store, 100).await.is_empty());
        let began = Instant::now();
        store.wait().await;
        if began.elapsed() > Duration::from_secs(1) {
            return;
        }
    }
    panic!("it is never quiet");
}

/// Waits while `change` is made, and says how long it took from then on, and as a whole.
async fn woken(store: &impl Tested, change: impl AsyncFnOnce()) -> (Duration, Duration) {
    let began = Instant::now();
    let mut wait = pin!(store.wait());
    assert!(
        timeout(store.looks() / 4 + Duration::from_millis(100), &mut wait).await.is_err(),
        "nothing changed"
    );
    change().await;
    let changed = Instant::now();
    timeout(AT_MOST, wait).await.expect("it does not wait longer");
    (changed.elapsed(), began.elapsed())
}

pub(super) async fn a_wait_ends_when_work_comes(store: impl Tested) {
    const SOON: Duration = Duration::from_millis(700);
    settled(&store).await;
    let (waited, _) = woken(&store, async || push(&store, 0..2).await).await;
    assert!(waited < SOON, "{waited:?}");
    // What is there already, and more than was claimed.
    let lease = claim_one(&store).await;
    let began = Instant::now();
    store.wait().await;
    assert!(began.elapsed() < SOON, "one is ready");
    let other = claim_one(&store).await;
    settled(&store).await;
    let (waited, _) = woken(&store, async || assert!(release(&store, &lease, false).await)).await;
    assert!(waited < SOON, "{waited:?}");
    let lease = claim_one(&store).await;
    assert!(fail(&store, &lease).await);
    settled(&store).await;
    let (waited, _) = woken(&store, async || assert_eq!(store.retry_failed().await.expect("works"), 1)).await;
    assert!(waited < SOON, "{waited:?}");
    // Pushed again: that is no work.
    let lease = claim_one(&store).await;
    assert!(finish(&store, &lease).await && finish(&store, &other).await);
    settled(&store).await;
    let (_, waited) = woken(&store, async || drop(store.push(work(0..2)).await.expect("works"))).await;
    assert!(waited > SOON * 2, "{waited:?}");
}

/// What nobody says is found all the same: leases that expire, and work that may have been sent.
pub(super) async fn a_wait_ends_for_what_expires(store: impl Tested) {
    push(&store, 0..2).await;
    let leases = claim(&store, 2).await;
    assert!(send(&store, &leases[1]).await);
    settled(&store).await;
    // The waits themselves may move its clock, too.
    store.advance(TTL / 2).await;
    settled(&store).await;
    store.advance(TTL / 2).await;
    let began = Instant::now();
    store.wait().await;
    assert!(began.elapsed() < AT_MOST);
    assert_eq!(&*claim_one(&store).await.id, "0");
    // Who leaves what may have been sent is not woken by it all the time.
    let began = Instant::now();
    for _ in 0..4 {
        store.wait().await;
        assert!(claim(&store, 9).await.is_empty());
    }
    assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());
}

/// Who waits for the end, and claims nothing, does not go round and round.
pub(super) async fn who_does_not_claim_waits(store: impl Tested) {
    push(&store, 0..2).await;
    let lease = claim_one(&store).await;
    let dead = claim_one(&store).await;
    store.advance(TTL * 2).await;
    push(&store, 2..3).await;
    let began = Instant::now();
    for _ in 0..6 {
        store.wait().await;
    }
    assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());
    drop((lease, dead));
}

/// Many wait, and each piece of work is taken once.
pub(super) async fn many_wait<S: Tested + Clone + 'static>(store: S) {
    const WAITERS: usize = 16;
    // A paused clock runs ahead while a folder syncs.
    const LONG: Duration = Duration::from_secs(10 * 86_400);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WAITERS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut done = 0;
            for _ in 0..100_000 {
                for lease in store.claim(1, LONG, Ambiguous::Leave).await.expect("works") {
                    assert!(finish(&store, &lease).await);
                    done += 1;
                }
                if store.counts().await.expect("works").done == 3 * WAITERS {
                    return done;
                }
                store.wait().await;
            }
            panic!("it goes on for ever");
        });
    }
    for round in 0..3 {
        sleep(S::MOMENT * 10).await;
        let first = round * u32::try_from(WAITERS).expect("fits");
        push(&store, first..first + u32::try_from(WAITERS).expect("fits")).await;
    }
    let all = tasks.join_all().await;
    assert_eq!(all.iter().sum::<usize>(), 3 * WAITERS);
}
