//! Quotas below other quotas, compared with a plain model: random operations on slots and gates on three levels.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use outbound_limiter::{Cost, QuotaError, QuotaLimiter, Reservation};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use crate::support::{poll_once, s};

const ONE: Cost = Cost::request();

/// An endpoint, two accounts, and two models of each account. For each quota, the index of the one above.
const PARENTS: [Option<usize>; 7] = [None, Some(0), Some(0), Some(1), Some(1), Some(2), Some(2)];

#[derive(Debug, Clone, Copy)]
enum Step {
    Reserve(usize),
    /// Ends a request that was admitted.
    End(usize),
    /// Drops a request that waits, or that was admitted and not polled since.
    Drop(usize),
    Resize(usize, usize),
    Close(usize),
    Open(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let quota = 0..PARENTS.len();
    prop_oneof![
        6 => quota.clone().prop_map(Step::Reserve),
        4 => (0_usize..100).prop_map(Step::End),
        2 => (0_usize..100).prop_map(Step::Drop),
        1 => (quota.clone(), 0_usize..4).prop_map(|(quota, max)| Step::Resize(quota, max)),
        1 => quota.clone().prop_map(Step::Close),
        2 => quota.prop_map(Step::Open),
    ]
}

type Waiting = Pin<Box<dyn Future<Output = Result<Reservation, QuotaError>>>>;

struct Run {
    quotas: Vec<QuotaLimiter>,
    max: [usize; 7],
    closed: [bool; 7],
    waiting: Vec<(usize, Waiting)>,
    held: Vec<(usize, Reservation)>,
}

impl Run {
    fn new(max: [usize; 7]) -> Self {
        let mut quotas: Vec<QuotaLimiter> = Vec::new();
        for (parent, max) in PARENTS.iter().zip(max) {
            let builder = QuotaLimiter::builder().max_concurrent(max);
            let builder = match parent {
                Some(parent) => builder.under(&quotas[*parent]),
                None => builder,
            };
            quotas.push(builder.build().unwrap());
        }
        Self { quotas, max, closed: [false; 7], waiting: Vec::new(), held: Vec::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Reserve(id) => {
                let quota = self.quotas[id].clone();
                let mut place: Waiting = Box::pin(async move { quota.reserve(ONE).await });
                match poll_once(place.as_mut()) {
                    std::task::Poll::Ready(reservation) => self.held.push((id, reservation.unwrap())),
                    std::task::Poll::Pending => self.waiting.push((id, place)),
                }
            }
            Step::End(_) if self.held.is_empty() => {}
            Step::End(one) => drop(self.held.swap_remove(one % self.held.len())),
            Step::Drop(_) if self.waiting.is_empty() => {}
            Step::Drop(one) => drop(self.waiting.remove(one % self.waiting.len())),
            Step::Resize(id, max) => {
                self.max[id] = max;
                self.quotas[id].set_max_concurrent(Some(max));
            }
            Step::Close(id) => {
                self.closed[id] = true;
                self.quotas[id].close_gate_until(Instant::now(), Instant::now() + s(1_000_000));
            }
            Step::Open(id) => {
                self.closed[id] = false;
                self.quotas[id].open_gate(Instant::now());
            }
        }
    }

    /// Polls the requests that were admitted, in half of the steps only. In the others the next step comes before the poll.
    fn look(&mut self) {
        let mut waiting = Vec::new();
        for (id, mut place) in self.waiting.drain(..) {
            match poll_once(place.as_mut()) {
                std::task::Poll::Ready(reservation) => self.held.push((id, reservation.unwrap())),
                std::task::Poll::Pending => waiting.push((id, place)),
            }
        }
        self.waiting = waiting;
    }

    fn in_flight(&self, quota: usize) -> usize {
        self.held.iter().filter(|(id, _)| above(*id).any(|level| level == quota)).count()
    }

    /// Checks that no request waits that could be admitted, and that the counts are right.
    fn check(&mut self) {
        self.look();
        for (id, quota) in self.quotas.iter().enumerate() {
            assert_eq!(quota.snapshot().in_flight, self.in_flight(id), "in flight at {id}");
            let waiting = self.waiting.iter().filter(|(other, _)| *other == id).count();
            assert_eq!(quota.snapshot().waiting, waiting, "waiting at {id}");
        }
        for (id, _) in &self.waiting {
            let has_room = |level: usize| !self.closed[level] && self.in_flight(level) < self.max[level];
            assert!(
                !above(*id).all(has_room),
                "a request waits at {id} although all levels have room for it"
            );
        }
    }
}

/// A quota and all quotas above it.
fn above(id: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(id), |&id| PARENTS[id])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nobody_waits_who_could_go(
        max in prop::array::uniform7(1_usize..4),
        steps in prop::collection::vec((step(), any::<bool>()), 1..120),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(max);
            for (step, checks) in steps {
                run.take(step);
                if checks {
                    run.check();
                }
            }
            run.check();
            run.held.clear();
            run.waiting.clear();
            run.check();
            // Everything came back.
            for (id, quota) in run.quotas.iter().enumerate() {
                quota.set_max_concurrent(None);
                quota.open_gate(Instant::now());
                run.max[id] = usize::MAX;
            }
            for quota in &run.quotas {
                drop(quota.try_reserve_at(ONE, Instant::now()).unwrap());
            }
        });
    }

    /// Rates on three levels. Requests are not admitted faster than any level allows, dropped requests lose no units, and all
    /// are admitted in little more than the time that the slowest level needs.
    #[test]
    fn rates_of_all_levels_hold(
        rates in prop::array::uniform7(1_u64..8),
        asks in prop::collection::vec((0..PARENTS.len(), 0_u64..3_000, prop::option::weighted(0.2, 0_u64..2_000)), 1..40),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let served = runtime.block_on(async {
            let mut quotas: Vec<QuotaLimiter> = Vec::new();
            for (parent, rate) in PARENTS.iter().zip(rates) {
                let builder = QuotaLimiter::builder().requests_per_minute(rate * 60).burst(Duration::from_millis(1));
                let builder = match parent {
                    Some(parent) => builder.under(&quotas[*parent]),
                    None => builder,
                };
                quotas.push(builder.build().unwrap());
            }
            let quotas = Arc::new(quotas);
            let start = Instant::now();
            let tasks: Vec<_> = asks.iter().map(|&(id, after, patience)| {
                let quotas = Arc::clone(&quotas);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    let reserve = quotas[id].reserve(ONE);
                    let Some(patience) = patience else {
                        drop(reserve.await.unwrap().sent());
                        return Some((id, start.elapsed()));
                    };
                    let reserved = tokio::time::timeout(Duration::from_millis(patience), reserve).await;
                    drop(reserved.ok()?.unwrap().sent());
                    Some((id, start.elapsed()))
                })
            }).collect();
            let mut served = Vec::new();
            for task in tasks {
                served.extend(task.await.unwrap());
            }
            for quota in &*quotas {
                assert_eq!((quota.snapshot().in_flight, quota.snapshot().waiting), (0, 0));
            }
            advance(s(2)).await;
            for (quota, rate) in quotas.iter().zip(rates) {
                assert_eq!(quota.snapshot().dimensions[0].available, 1, "at a rate of {rate}");
            }
            served
        });
        for (quota, rate) in rates.iter().enumerate() {
            let mut times: Vec<_> =
                served.iter().filter(|(id, _)| above(*id).any(|level| level == quota)).map(|(_, at)| *at).collect();
            times.sort();
            for pair in times.windows(2) {
                let gap = Duration::from_secs(1) / u32::try_from(*rate).unwrap();
                prop_assert!(pair[1] + Duration::from_millis(1) >= pair[0] + gap, "{pair:?} at {rate} a second");
            }
        }
        let narrowest = *rates.iter().min().unwrap();
        let last = served.iter().map(|(_, at)| *at).max().unwrap_or_default();
        let enough = Duration::from_millis(3_010) + Duration::from_secs(asks.len() as u64) / narrowest as u32;
        prop_assert!(last <= enough, "{last:?}, where {enough:?} should do");
    }
}

/// Threads that reserve, send, settle and drop on three levels at the same time. All of them end.
#[test]
fn no_wake_up_is_lost_among_threads() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let max = [3, 2, 2, 1, 2, 1, 2];
        let quotas = Arc::new(Run::new(max).quotas);
        let tasks: Vec<_> = (0..48_u64)
            .map(|task| {
                let quotas = Arc::clone(&quotas);
                tokio::spawn(async move {
                    let mut random = task.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                    for _ in 0..400 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let quota = &quotas[usize::try_from(random % 7).unwrap()];
                        match (random >> 8) % 8 {
                            0 => drop(
                                tokio::time::timeout(Duration::from_micros(50), quota.reserve(ONE)).await,
                            ),
                            1 => {
                                let mut place = Box::pin(quota.reserve(ONE));
                                drop(futures::poll!(place.as_mut()));
                                tokio::task::yield_now().await;
                            }
                            2 => {
                                quota.close_gate_until(Instant::now(), Instant::now() + s(60));
                                quota.open_gate(Instant::now());
                            }
                            _ => {
                                let charge = quota.reserve(ONE).await.unwrap().sent();
                                tokio::task::yield_now().await;
                                charge.settle(ONE);
                            }
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            let ended = tokio::time::timeout(s(60), task).await;
            assert!(
                ended.is_ok(),
                "asleep: {:?}",
                quotas.iter().map(QuotaLimiter::snapshot).collect::<Vec<_>>()
            );
            ended.unwrap().unwrap();
        }
        for quota in &*quotas {
            assert_eq!((quota.snapshot().in_flight, quota.snapshot().waiting), (0, 0));
        }
    });
}
