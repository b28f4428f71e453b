//! Load balancing: which of several destinations takes a request.

use std::pin::Pin;

use futures::future::{FutureExt, select_all};

use super::{
    limits::{gates_closed, woken},
    *,
};

/// What a request with several destinations has learnt from its failures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EndpointHistory {
    /// The destination where the request failed last. The others are tried before it.
    failed_at: Option<usize>,
    /// The destinations that refused the key or the money: one bit for each.
    refused_by: u64,
}

/// The most endpoints that may share a name: one bit of `refused_by` for each.
pub(crate) const MAX_ENDPOINTS_PER_NAME: usize = u64::BITS as usize;

/// A wait for the limits of one destination. It returns the index of the destination with its result.
type PendingReservation<'q> =
    Pin<Box<dyn Future<Output = (usize, Result<outbound_limiter::Reservation, QuotaError>)> + Send + 'q>>;

impl<'a> Admission<'a> {
    /// Records a failure, and says whether another destination takes the request. After a refused key or refused money
    /// (`of_account`) a destination counts if it is not stopped, even if it has to be waited for. After other failures
    /// only one that needs no wait counts.
    pub(crate) fn another_accepts(
        &mut self,
        failed_at: &Destination<'_>,
        of_account: bool,
        now: Instant,
    ) -> bool {
        if self.destinations.len() == 1 {
            return false;
        }
        let here = self.destinations.iter().position(|destination| std::ptr::eq(destination, failed_at));
        self.history.failed_at = here;
        if of_account && let Some(here) = here {
            self.history.refused_by |= 1 << here;
        }
        let others = self.destinations.iter().enumerate().filter(|(index, _)| Some(*index) != here);
        others.filter(|(index, _)| self.may_ask(*index)).any(|(_, other)| {
            if of_account { other.scope.stopped(now).is_none() } else { other.scope.is_open(now) }
        })
    }

    fn may_ask(&self, index: usize) -> bool {
        self.history.refused_by & (1 << index) == 0
    }

    /// The destinations that may be tried: the least loaded first, the one that failed last at the end. If all have
    /// refused the key or the money, all are tried.
    fn by_load(&self) -> impl Iterator<Item = usize> + use<> {
        let all_refuse = (0..self.destinations.len()).all(|index| !self.may_ask(index));
        let of = |(index, destination): (usize, &Destination<'_>)| {
            (self.history.failed_at == Some(index), destination.scope.account.load(), index)
        };
        let mut order: Vec<_> = self.destinations.iter().enumerate().map(of).collect();
        order.retain(|(.., index)| all_refuse || self.may_ask(*index));
        order.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
        order.into_iter().map(|(.., index)| index)
    }

    /// Waits until one of several destinations takes the request: the first that has room.
    pub(super) async fn admit_to_any(&mut self, record: &mut Record) -> Result<Admitted<'a>, Error> {
        let destinations = self.destinations;
        let mut funds = None;
        loop {
            // Registered before the checks, so that a change between a check and the wait is not missed.
            let changes =
                destinations.iter().map(|destination| Box::pin(destination.scope.account.changed()));
            let mut changed = pin!(select_all(changes.collect::<Vec<_>>()).map(|_| ()));
            let now = Instant::now();
            self.check(now, record)?;
            if self.has_preconditions() && self.wait_for_preconditions(&mut funds, record).await? {
                continue;
            }
            // All destinations share one fair queue: that of the first.
            let (queue, units) = (&destinations[0].scope.model.queue, destinations[0].prepared.units());
            let position = queue.position(self.class, units, &mut self.position, now);
            let waiter = position.map(|position| queue.join(position, now));
            if let Some(waiter) = &waiter {
                let (turn, timer) = (pin!(waiter.turn()), pin!(sleep_until(self.deadline())));
                let ended = select(turn, select(&mut changed, timer)).await;
                record.waited += now.elapsed();
                if let Either::Right(_) = ended {
                    continue;
                }
            }
            let now = Instant::now();
            let (mut turns, mut gates, mut held) = (Vec::<PendingReservation<'_>>::new(), Vec::new(), None);
            let (mut stopped, mut error) = (None, None);
            for index in self.by_load() {
                let destination = &destinations[index];
                let (scope, cost) = (&destination.scope, destination.prepared.cost);
                match scope.admit(now) {
                    ScopeDecision::Go(permit) if permit.is_probe_or_witness() => {
                        // Other requests wait for this probe or witness, so only a stop ends its wait.
                        let stopped = self.stopped_or_closed(scope);
                        match self.reserve(destination, stopped, record).await? {
                            Some(charge) => match self.admitted(destination, permit, charge, funds.take()) {
                                Some(admitted) => return Ok(admitted),
                                None => break,
                            },
                            None => break,
                        }
                    }
                    ScopeDecision::Go(permit) => match scope.model.quota.try_reserve_at(cost, now) {
                        Ok(reservation) => {
                            match self.admitted(destination, permit, reservation.sent(), funds.take()) {
                                Some(admitted) => return Ok(admitted),
                                None => break,
                            }
                        }
                        Err(QuotaError::MustWait { bottleneck: Bottleneck::Gate, wait, .. }) => {
                            let until = now + wait.unwrap_or(CENTURY).min(CENTURY);
                            held = earlier(held, Waiting::Refused, until);
                        }
                        Err(QuotaError::MustWait { .. }) => {
                            let turn = woken(scope.model.shared.as_ref(), scope.model.quota.reserve(cost));
                            turns.push(Box::pin(turn.map(move |reserved| (index, reserved))));
                            gates.push(&scope.model.quota);
                        }
                        Err(why) => error = Some(self.not_reserved(&why, record)),
                    },
                    ScopeDecision::Wait(reason, until) => held = earlier(held, reason, until),
                    ScopeDecision::Stopped(why) => stopped = stopped.or(Some((scope, why))),
                }
            }
            let until = held.map_or(self.deadline(), |(_, until)| until.min(self.deadline()));
            if turns.is_empty() {
                match (held, stopped, error) {
                    (Some((reason, _)), ..) => {
                        funds = None;
                        let lasted = destinations.iter().map(|destination| destination.scope.down_for(now));
                        let lasted = lasted.min().unwrap_or_default();
                        self.wait_for(reason, until, lasted, changed, record).await?;
                    }
                    (None, Some((scope, why)), _) => return Err(self.scope_stopped(scope, &why, record)),
                    (None, None, Some(error)) => return Err(error),
                    // The budget had no room, or a stop ended the wait of a probe or a witness. The next round finds
                    // out which.
                    (None, None, None) => {}
                }
                continue;
            }
            self.member.move_to(Stage::Ready);
            self.emit(Step::Waiting { reason: Waiting::Limits, at_least: None });
            let timer = pin!(sleep_until(until));
            let lost = pin!(async {
                match &waiter {
                    Some(waiter) => waiter.turn_lost().await,
                    None => std::future::pending().await,
                }
            });
            let gates = pin!(gates_closed(&gates, self.patience));
            let news = select(select(changed, gates), select(timer, lost));
            let turn = select(select_all(turns), news).await;
            record.waited += now.elapsed();
            if let Either::Left((((index, Ok(reservation)), ..), _)) = turn {
                let destination = &destinations[index];
                // The state may have changed during the wait, so the scope is asked again.
                if let ScopeDecision::Go(permit) = destination.scope.admit(Instant::now())
                    && Instant::now() < self.deadline()
                    && let Some(admitted) =
                        self.admitted(destination, permit, reservation.sent(), funds.take())
                {
                    return Ok(admitted);
                }
            }
        }
    }
}

fn earlier(held: Option<(Waiting, Instant)>, reason: Waiting, until: Instant) -> Option<(Waiting, Instant)> {
    match held {
        Some((_, known)) if known <= until => held,
        _ => Some((reason, until)),
    }
}
