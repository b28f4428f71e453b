//! The suite that every store of quota has to pass.

#[path = "quota_suite/losses.rs"]
mod losses;
#[path = "quota_suite/many.rs"]
mod many;
#[path = "quota_suite/pauses.rs"]
mod pauses;

use std::{future::Future, time::Duration};

use outbound::quota_store::{Exchange, Grant, QuotaStore, Rule, Scope};

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// What comes while a part of the suite runs in real time: ten seconds of the 1,000 tokens a minute.
const MEANWHILE: u64 = 170;

/// A store with its clock in the hands of the test.
pub(crate) trait Tested: QuotaStore + Clone + 'static {
    /// Moves the clock of the store ahead.
    fn advance(&self, by: Duration) -> impl Future<Output = ()> + Send;

    /// Sets the clock back. `false` where that cannot happen to it.
    fn set_back(&self, by: Duration) -> impl Future<Output = bool> + Send {
        let _ = by;
        async { false }
    }

    /// Another handle of the same, as another process would open it.
    fn another(&self) -> impl Future<Output = Self> + Send;

    /// Keeps a copy of all that is known. `false` where nothing can be lost but with the process.
    fn save(&self) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// Puts the copy back: the writes since then are lost.
    fn put_back(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Loses all that is known.
    fn lose(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Runs the suite; each part has a store of its own.
pub(crate) async fn conforms<S: Tested>(mut new: impl AsyncFnMut() -> S) {
    a_new_row_is_empty(new().await).await;
    an_exchange_is_done_once(new().await).await;
    all_rules_are_granted_or_none(new().await).await;
    what_is_given_back_comes_back_once_and_debts_are_paid(new().await).await;
    what_a_dead_holder_has_does_not_come_back(new().await).await;
    who_waits_longest_is_not_overtaken(new().await).await;
    who_does_not_come_is_not_waited_for(new().await).await;
    a_stalled_holder_that_comes_back_pays_for_what_it_spent(new().await).await;
    rules_may_change(new().await).await;
}

/// The part about refusals.
pub(crate) async fn pauses<S: Tested>(mut new: impl AsyncFnMut() -> S) {
    pauses::a_refusal_pauses_all_then_one_probes_then_all_have_half(new().await).await;
    pauses::a_prober_that_dies_is_replaced(new().await).await;
}

/// The part about what the store loses.
pub(crate) async fn losses<S: Tested>(mut new: impl AsyncFnMut() -> S) {
    losses::the_clock_may_be_set(new().await).await;
    losses::lost_writes_are_the_only_overrun(new().await).await;
    losses::a_lost_row_begins_empty_with_another_generation(new().await).await;
}

/// The part about many. It is long, so a store whose clock is a real one runs it beside the rest.
pub(crate) async fn many<S: Tested>(mut new: impl AsyncFnMut() -> S) {
    many::many_handles_at_once(new().await).await;
    many::many_scopes(new().await).await;
}

/// 600 requests and 60,000 tokens an hour, of which 30,000 can be saved up. A chunk is 60 and 3,000.
fn scope() -> Scope {
    Scope::new("api.example.com, key 1")
        .rule(Rule::rate(600, HOUR))
        .rule(Rule::rate(60_000, HOUR).burst(30_000))
}

fn ask(holder: u64, seq: u64) -> Exchange {
    Exchange::new(holder, seq).wanted([20, 2_000]).least([1, 100])
}

/// A few tokens, and no requests.
fn tokens(holder: u64, seq: u64, tokens: u64) -> Exchange {
    Exchange::new(holder, seq).wanted([0, tokens]).least([0, tokens])
}

async fn exchange(store: &impl Tested, exchange: Exchange) -> Grant {
    store.exchange(&scope(), exchange).await.expect("works")
}

/// A store in which all that can be saved up is there.
async fn fill(store: &impl Tested) {
    exchange(store, Exchange::new(900, 1)).await;
    store.advance(HOUR).await;
}

/// Takes all tokens that are there.
async fn drain(store: &impl Tested, holder: u64, scope: &Scope) -> u64 {
    let mut all = 0;
    for seq in 1..100 {
        let ask = Exchange::new(holder, seq).wanted([0, 3_000]).least([0, 1]);
        let granted = store.exchange(scope, ask).await.expect("works").granted[1];
        all += granted;
        // What comes in meanwhile is there at once.
        if granted < MEANWHILE {
            store.exchange(scope, Exchange::new(holder, 100)).await.expect("works");
            return all;
        }
    }
    panic!("it goes on for ever");
}

#[track_caller]
fn assert_about(found: u64, expected: u64) {
    // A clock may be exact to a hundredth of a second only.
    assert!((expected - 1..=expected + MEANWHILE).contains(&found), "{found} instead of {expected}");
}

async fn a_new_row_is_empty(store: impl Tested) {
    let first = exchange(&store, ask(1, 1)).await;
    assert_eq!(
        (&first.granted[..], first.ttl, first.pause, first.holders),
        (&[0, 0][..], Duration::ZERO, None, 1)
    );
    assert!(first.next_poll >= Duration::from_millis(100) && first.next_poll <= Duration::from_secs(90));
    // What is left of the time until it is to come is told again.
    let mut waited = Duration::from_secs(10);
    store.advance(waited).await;
    let mut grant = exchange(&store, ask(1, 1)).await;
    assert!(grant.next_poll <= first.next_poll - Duration::from_secs(9));
    // 2,000 tokens need two minutes. Meanwhile it asks again, as it was told.
    let mut seq = 1;
    while grant.granted == [0, 0] {
        assert!(waited < 4 * MINUTE, "it is never served");
        store.advance(grant.next_poll).await;
        waited += grant.next_poll;
        seq += 1;
        grant = exchange(&store, ask(1, seq)).await;
    }
    assert!(grant.granted[0] >= 1 && grant.granted[1] >= 100 && grant.granted[1] <= 2_000);
    assert!(grant.granted[1] <= waited.as_secs() * 60_000 / 3_600 + MEANWHILE);
    assert!(grant.ttl >= Duration::from_secs(1) && grant.ttl <= MINUTE);
    assert_eq!(grant.generation, first.generation);
}

async fn an_exchange_is_done_once(store: impl Tested) {
    fill(&store).await;
    let first = exchange(&store, ask(1, 1)).await;
    assert_eq!(first.granted, [20, 2_000]);
    // Its reply was lost, and it asks through another connection.
    let another = store.another().await;
    for handle in [&another, &store] {
        let again = exchange(handle, ask(1, 1)).await;
        assert_eq!((&again.granted, again.generation), (&first.granted, first.generation));
        assert!(again.ttl <= first.ttl && again.ttl + MINUTE / 3 >= first.ttl);
    }
    // What is left of its time is told.
    store.advance(Duration::from_secs(30)).await;
    let again = exchange(&another, ask(1, 1)).await;
    assert_eq!(again.granted, first.granted);
    assert!(again.ttl <= first.ttl - Duration::from_secs(29));
    let spent = exchange(&store, Exchange::new(1, 2).used([20, 2_000])).await;
    assert_eq!(spent.granted, [0, 0]);
    // One that is late changes nothing, and is answered as the last.
    for late in [1, 2, 0] {
        assert_eq!(exchange(&store, ask(1, late).used([9, 9_000])).await.granted, [0, 0]);
    }
    assert_about(drain(&store, 2, &scope()).await, 28_500);
}

async fn all_rules_are_granted_or_none(store: impl Tested) {
    fill(&store).await;
    let all = Exchange::new(1, 1).wanted([400, 40_000]).least([1, 100]);
    // A chunk of tokens, and as large a part of the requests.
    assert_eq!(exchange(&store, all).await.granted, [30, 3_000]);
    let large = Exchange::new(1, 2).wanted([9, 20_000]).least([1, 20_000]);
    assert_eq!(exchange(&store, large.clone()).await.granted, [9, 20_000]);
    // 7,000 tokens are left: not enough for the next one, so that it gets no request, too.
    assert_eq!(exchange(&store, large.seq(3)).await.granted, [0, 0]);
    let least = Exchange::new(1, 4).wanted([9, 7_000]).least([1, 7_000 + MEANWHILE + 1]);
    assert_eq!(exchange(&store, least).await.granted, [0, 0]);
    // A list that is too short is filled up with 0.
    assert_eq!(exchange(&store, Exchange::new(1, 5).wanted([2]).used([1]).least([1])).await.granted, [2, 0]);
    exchange(&store, Exchange::new(1, 6)).await;
    assert_about(drain(&store, 2, &scope()).await, 7_000);
    // No more is saved up than the burst.
    store.advance(24 * HOUR).await;
    assert_about(drain(&store, 3, &scope()).await, 30_000);
}

async fn what_is_given_back_comes_back_once_and_debts_are_paid(store: impl Tested) {
    fill(&store).await;
    assert_eq!(exchange(&store, ask(1, 1)).await.granted, [20, 2_000]);
    let back = Exchange::new(1, 2).used([5, 500]).returned([15, 1_500]);
    exchange(&store, back.clone()).await;
    exchange(&store, back).await;
    // More than it has cannot be given back.
    exchange(&store, Exchange::new(1, 3).returned([100, 100_000])).await;
    exchange(&store, Exchange::new(77, 1).returned([100, 100_000])).await;
    assert_about(drain(&store, 2, &scope()).await, 29_500);
    // What was spent beyond the grants is a debt of all.
    exchange(&store, Exchange::new(1, 4).used([0, 800])).await;
    store.advance(Duration::from_secs(30)).await;
    assert_eq!(exchange(&store, tokens(3, 1, 1)).await.granted, [0, 0]);
    exchange(&store, Exchange::new(3, 2)).await;
    store.advance(Duration::from_secs(30)).await;
    assert_about(drain(&store, 4, &scope()).await, 200);
}

async fn what_a_dead_holder_has_does_not_come_back(store: impl Tested) {
    fill(&store).await;
    for holder in 1..=10 {
        let grant = exchange(&store, tokens(holder, 1, 3_000)).await;
        assert_eq!((&grant.granted[..], grant.ttl), (&[0, 3_000][..], MINUTE));
        // It wants no more, so that nothing is kept for it.
        exchange(&store, Exchange::new(holder, 2)).await;
    }
    store.advance(Duration::from_secs(75)).await;
    assert_eq!(exchange(&store, Exchange::new(11, 1)).await.holders, 11);
    // One that comes late gives back what it did not spend.
    exchange(&store, Exchange::new(10, 3).returned([0, 3_000])).await;
    assert_about(drain(&store, 12, &scope()).await, 3_000 + 75 * 60_000 / 3_600);
    // Then they are forgotten.
    store.advance(Duration::from_secs(50)).await;
    for holder in 1..=9 {
        exchange(&store, Exchange::new(holder, 3).returned([0, 3_000])).await;
    }
    assert_about(drain(&store, 13, &scope()).await, 50 * 60_000 / 3_600);
}

/// The times of a holder are durations: what its clock shows plays no part.
async fn who_waits_longest_is_not_overtaken(store: impl Tested) {
    exchange(&store, tokens(1, 1, 1_000).oldest_wait(MINUTE)).await;
    exchange(&store, tokens(2, 1, 1_000).oldest_wait(Duration::MAX)).await;
    store.advance(MINUTE + MINUTE / 60).await;
    assert_eq!(exchange(&store, tokens(1, 2, 1_000).oldest_wait(2 * MINUTE)).await.granted, [0, 0]);
    // A request that is small enough beside what is kept goes through.
    assert_eq!(exchange(&store, tokens(3, 1, 1)).await.granted, [0, 1]);
    assert_eq!(exchange(&store, tokens(2, 2, 1_000).oldest_wait(Duration::MAX)).await.granted, [0, 1_000]);
    // Who was served is behind the others.
    exchange(&store, tokens(2, 3, 1_000).oldest_wait(Duration::MAX)).await;
    store.advance(MINUTE + MINUTE / 60).await;
    assert_eq!(exchange(&store, tokens(2, 4, 1_000).oldest_wait(Duration::MAX)).await.granted, [0, 0]);
    assert_eq!(exchange(&store, tokens(1, 3, 1_000).oldest_wait(3 * MINUTE)).await.granted, [0, 1_000]);
}

async fn who_does_not_come_is_not_waited_for(store: impl Tested) {
    let first = exchange(&store, tokens(1, 1, 1_000).oldest_wait(MINUTE)).await;
    exchange(&store, tokens(2, 1, 1_000)).await;
    store.advance(first.next_poll).await;
    // It has died. What would be enough for one is kept for it, and then it is not.
    assert_eq!(exchange(&store, tokens(2, 2, 1_000).oldest_wait(MINUTE)).await.granted, [0, 0]);
    store.advance(first.next_poll / 4 + MINUTE / 10).await;
    assert_eq!(exchange(&store, tokens(2, 3, 1_000).oldest_wait(MINUTE)).await.granted, [0, 1_000]);
}

async fn a_stalled_holder_that_comes_back_pays_for_what_it_spent(store: impl Tested) {
    fill(&store).await;
    assert_eq!(exchange(&store, ask(1, 1)).await.granted, [20, 2_000]);
    store.advance(HOUR).await;
    // The store has forgotten it. What it spent is counted, and what it gives back is not.
    let late = Exchange::new(1, 2).used([5, 500]).returned([15, 1_500]);
    for _ in 0..2 {
        assert_eq!(exchange(&store, late.clone()).await.granted, [0, 0]);
    }
    assert_about(drain(&store, 2, &scope()).await, 29_500);
}

async fn rules_may_change(store: impl Tested) {
    fill(&store).await;
    let generation = exchange(&store, Exchange::new(1, 1)).await.generation;
    let small =
        Scope { rules: vec![Rule::rate(600, HOUR), Rule::rate(60_000, HOUR).burst(2_500)], ..scope() };
    assert_about(drain(&store, 2, &small).await, 2_500);
    // What was there above the smaller burst is gone.
    assert!(drain(&store, 3, &scope()).await <= MEANWHILE);
    store.advance(HOUR).await;
    assert_about(drain(&store, 4, &scope()).await, 30_000);
    let other = Scope { rules: vec![Rule::rate(600, HOUR)], ..scope() };
    let grant = store.exchange(&other, Exchange::new(1, 2).wanted([5]).least([1])).await.expect("works");
    assert_eq!(grant.granted, [0]);
    assert_ne!(grant.generation, generation);
    let none = Scope { rules: Vec::new(), ..scope() };
    let grant = store.exchange(&none, Exchange::new(1, 3).wanted([5])).await.expect("works");
    assert!(grant.granted.is_empty());
    // A rule that makes no sense is taken as the nearest one that does.
    let odd = Rule { amount: 0, per: Duration::ZERO, burst: 0 };
    let odd =
        Scope { rules: vec![odd, Rule { amount: u64::MAX, per: Duration::MAX, burst: u64::MAX }], ..scope() };
    for seq in 4..7 {
        let all = Exchange::new(1, seq).wanted([u64::MAX; 2]).least([1, 0]).used([u64::MAX; 2]);
        store.exchange(&odd, all.returned([u64::MAX; 2])).await.expect("works");
        store.advance(HOUR).await;
    }
    for holder in 2..12 {
        let all = Exchange::new(holder, 1).wanted([u64::MAX; 2]).least([u64::MAX; 2]);
        assert_eq!(store.exchange(&odd, all).await.expect("works").granted, [0, 0]);
    }
    // They never get that much, and are not waited for when they do not come.
    store.advance(HOUR).await;
    let grant = store.exchange(&odd, Exchange::new(1, 7).wanted([9]).least([1])).await.expect("works");
    assert_eq!(grant.granted[0], 1);
}
