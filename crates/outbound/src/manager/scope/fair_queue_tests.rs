//! The fair queue: priorities, ageing, shares of tenants, and the turn.

use std::collections::BTreeMap;

use futures::FutureExt;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn order(priority: i32, tenant: Option<&str>) -> QueueClass<'_> {
    QueueClass { priority, tenant }
}

/// Lets each waiter leave when it has the turn. Returns the names in that order.
fn served(queue: &FairQueue, mut waiting: Vec<(&'static str, Waiter<'_>)>) -> Vec<&'static str> {
    let mut served = Vec::new();
    while !waiting.is_empty() {
        let next = waiting.iter().position(|(_, waiting)| waiting.turn().now_or_never().is_some());
        served.push(waiting.remove(next.expect("somebody has the turn")).0);
    }
    assert!(queue.is_empty());
    served
}

/// Joins the queue as if a priority or a tenant had come before.
fn join<'a>(queue: &'a FairQueue, class: QueueClass<'_>, cost: u64) -> Waiter<'a> {
    queue.used.store(true, Ordering::Relaxed);
    let now = Instant::now();
    let position = queue.position(class, cost, &mut None, now).expect("it has a position");
    queue.join(position, now)
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_not_used_before_a_priority_or_a_tenant_comes() {
    let queue = FairQueue::default();
    assert!(queue.position(order(0, None), 1, &mut None, Instant::now()).is_none());
    assert!(!queue.enable(order(0, None)) && queue.enable(order(1, None)));
    assert!(!queue.enable(order(0, Some("a"))), "once");
    assert!(queue.position(order(0, None), 1, &mut None, Instant::now()).is_some(), "from then on for all");
}

#[tokio::test(start_paused = true)]
async fn the_highest_priority_goes_first_and_equals_in_their_order() {
    let queue = FairQueue::default();
    let waiting = [("first", 0), ("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)]
        .map(|(name, priority)| (name, join(&queue, order(priority, None), 1)));
    assert_eq!(served(&queue, waiting.into()), ["b", "d", "first", "a", "e", "c"]);
}

/// A minute of waiting outweighs two priorities. It never makes a request go before a newer one of the highest
/// priority.
#[tokio::test(start_paused = true)]
async fn a_long_wait_makes_priorities_equal() {
    for (waited, expected) in [(59, ["new", "newer", "first", "old"]), (60, ["first", "old", "new", "newer"])]
    {
        let queue = FairQueue::default();
        let mut waiting =
            vec![("first", join(&queue, order(0, None), 1)), ("old", join(&queue, order(0, None), 1))];
        tokio::time::advance(SECOND * waited).await;
        waiting.push(("new", join(&queue, order(2, None), 1)));
        waiting.push(("newer", join(&queue, order(2, None), 1)));
        assert_eq!(served(&queue, waiting), expected, "{waited}");
    }
}

/// Many requests of one tenant do not starve another tenant, nor do expensive requests starve cheap ones.
#[tokio::test(start_paused = true)]
async fn tenants_share_by_cost() {
    let queue = FairQueue::default();
    let mut waiting: Vec<_> =
        (0..1_000).map(|_| ("many", join(&queue, order(0, Some("many")), 10))).collect();
    // Some of them have left.
    for _ in 0..10 {
        drop(waiting.remove(0));
    }
    waiting.extend((0..20).map(|_| ("few", join(&queue, order(0, Some("few")), 5))));
    waiting.push(("one", join(&queue, order(0, None), 10)));
    let order = served(&queue, waiting);
    assert!(
        order.iter().position(|name| *name == "one").is_some_and(|position| position <= 3),
        "{:?}",
        &order[..6]
    );
    let last = order.iter().rposition(|name| *name == "few").expect("they went");
    assert!((28..=34).contains(&last), "twenty at half the cost beside ten: {last}");
}

/// A waiter that leaves passes on the turn, whether or not it knows that it has the turn.
#[tokio::test(start_paused = true)]
async fn leaving_passes_on_the_turn() {
    let queue = FairQueue::default();
    let [first, second, third] = [1, 2, 3].map(|_| join(&queue, order(0, Some("a")), 1));
    assert!(second.turn().now_or_never().is_none());
    drop(second);
    let mut third = Box::pin(async move {
        third.turn().await;
        third
    });
    assert!(third.as_mut().now_or_never().is_none());
    drop(first);
    let third = third.await;
    assert!(!queue.is_empty());
    drop(third);
    assert!(queue.is_empty());
}

/// A request that asks again keeps its position.
#[tokio::test(start_paused = true)]
async fn a_request_that_asks_again_keeps_its_position() {
    let queue = FairQueue::default();
    let now = Instant::now();
    let (mut own, holder) = (None, join(&queue, order(0, Some("a")), 1));
    let position = queue.position(order(0, Some("a")), 1, &mut own, now).expect("it has a position");
    let again = queue.join(position, now);
    let later = join(&queue, order(0, Some("a")), 1);
    drop(again);
    let position = queue.position(order(0, Some("a")), 1, &mut own, now).expect("it has a position");
    let again = queue.join(position, now);
    drop(holder);
    assert!(again.turn().now_or_never().is_some() && later.turn().now_or_never().is_none());
}

/// Random joins and departures. Exactly one request has the turn while any waits, and each gets it. No waiting tenant
/// falls behind another by more than one request of each.
#[tokio::test(start_paused = true)]
async fn random_queues_are_fair() {
    for seed in 0..200_u64 {
        let queue = FairQueue::default();
        let mut draw = seed;
        let mut next = |most: u64| {
            draw = crate::manager::seed::mix(draw, 1);
            draw % most
        };
        let tenants = ["a", "b", "c"];
        let mut waiting: Vec<(&str, u64, Waiter<'_>)> = Vec::new();
        for tenant in tenants {
            for _ in 0..20 + next(30) {
                let cost = 1 + next(9);
                waiting.push((tenant, cost, join(&queue, order(0, Some(tenant)), cost)));
            }
        }
        let mut served = BTreeMap::from(tenants.map(|tenant| (tenant, 0_u64)));
        while tenants.iter().all(|tenant| waiting.iter().any(|(of, ..)| of == tenant)) {
            if next(5) == 0 {
                let gone = usize::try_from(next(waiting.len() as u64)).expect("an index");
                if waiting[gone].2.turn().now_or_never().is_none() {
                    // A request that leaves still counts with its cost, because it asked for that cost.
                    let (tenant, cost, _) = waiting.remove(gone);
                    *served.get_mut(tenant).expect("known") += cost;
                    continue;
                }
            }
            let holders: Vec<_> = (0..waiting.len())
                .filter(|index| waiting[*index].2.turn().now_or_never().is_some())
                .collect();
            assert_eq!(holders.len(), 1, "{seed}");
            let (tenant, cost, _) = waiting.remove(holders[0]);
            *served.get_mut(tenant).expect("known") += cost;
        }
        let (least, most) = (served.values().min().expect("one"), served.values().max().expect("one"));
        assert!(most - least <= 150, "{seed}: {served:?}");
    }
}

/// A request that has waited long is equal to the highest priority, and not above it. Then the tenant that had less
/// goes first.
#[tokio::test(start_paused = true)]
async fn the_longest_wait_makes_no_more_than_equal() {
    let queue = FairQueue::default();
    let holder = join(&queue, order(9, Some("holder")), 1);
    let had_much = join(&queue, order(0, Some("much")), 1_000);
    let old = join(&queue, order(0, Some("much")), 1);
    tokio::time::advance(SECOND * 3_000).await;
    let new = join(&queue, order(2, Some("new")), 1);
    drop(holder);
    assert_eq!(served(&queue, vec![("old", old), ("had much", had_much), ("new", new)])[2], "old");
}

/// A tenant that was quiet gains no claim from that.
#[tokio::test(start_paused = true)]
async fn a_quiet_tenant_gains_nothing() {
    let queue = FairQueue::default();
    let mut busy: Vec<_> = (0..200).map(|_| ("busy", join(&queue, order(0, Some("busy")), 1))).collect();
    drop(join(&queue, order(0, Some("quiet")), 1));
    busy.drain(..100);
    busy.extend((0..50).map(|_| ("quiet", join(&queue, order(0, Some("quiet")), 1))));
    let first: Vec<_> = served(&queue, busy).into_iter().take(40).collect();
    let quiet = first.iter().filter(|name| **name == "quiet").count();
    assert!((15..=25).contains(&quiet), "{quiet} of 40");
}
