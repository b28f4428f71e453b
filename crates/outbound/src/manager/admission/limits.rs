//! Waiting for the limits.

use futures::FutureExt;
use outbound_limiter::{QuotaLimiter, Reservation};
use tokio::time::sleep;

use super::{super::shared_quota::SharedQuota, *};

/// The shortest time between two checks for a closed gate.
const SHORTEST_CHECK: Duration = Duration::from_secs(1);

impl Admission<'_> {
    /// Waits for the limits. `None`: something has changed, so the caller checks everything again.
    pub(super) async fn reserve(
        &mut self,
        destination: &Destination<'_>,
        changed: impl Future<Output = ()>,
        record: &mut Record,
    ) -> Result<Option<Charge>, Error> {
        let quota = &destination.scope.model.quota;
        let cost = destination.prepared.cost;
        let now = Instant::now();
        let queue = &destination.scope.model.queue;
        let position = queue.position(self.class, destination.prepared.units(), &mut self.position, now);
        if position.is_some_and(|_| !queue.is_empty()) {
            return Box::pin(self.reserve_in_queue(destination, changed, record)).await;
        }
        let reserved = match quota.try_reserve_at(cost, now) {
            Err(QuotaError::MustWait { bottleneck, .. })
                if position.is_some() && bottleneck != Bottleneck::Gate =>
            {
                return Box::pin(self.reserve_in_queue(destination, changed, record)).await;
            }
            Err(QuotaError::MustWait { bottleneck, wait, .. }) => {
                let gated = bottleneck == Bottleneck::Gate;
                // A request that waits for a rate counts as blocked, so that its batch takes requests for other models.
                let ready = bottleneck == Bottleneck::Concurrency;
                self.member.move_to(if ready { Stage::Ready } else { Stage::Blocked });
                let reason = if gated { Waiting::Refused } else { Waiting::Limits };
                if gated && !self.has_patience_for(wait.unwrap_or_default()) {
                    return Err(would_wait(reason, record));
                }
                self.emit(Step::Waiting { reason, at_least: wait });
                let shared = &destination.scope.model.shared;
                let reserve = quota.reserve(cost);
                // The turn may come late. That must not fail a request whose deadline does not run yet.
                let reserve = if self.since.is_some() { reserve.before(self.deadline()) } else { reserve };
                let patience = self.patience;
                let changed = async {
                    select(pin!(changed), pin!(gates_closed(&[quota], patience))).await;
                };
                let changed = pin!(changed);
                // A change goes first: the checks made before it may not hold any more.
                let reserve = pin!(woken(shared.as_ref(), reserve));
                let ended = select(changed, reserve).await;
                if gated {
                    self.count_wait(now.elapsed(), record);
                } else {
                    record.waited += now.elapsed();
                }
                match ended {
                    Either::Left(_) => return Ok(None),
                    // The limits had room in time, but this task ran only after the deadline.
                    Either::Right((Ok(_), _)) if Instant::now() >= self.deadline() => {
                        return Err(self.past_deadline(record));
                    }
                    Either::Right((reserved, _)) => reserved,
                }
            }
            reserved => reserved,
        };
        match reserved {
            Ok(reservation) => Ok(Some(reservation.sent())),
            Err(error) => Err(self.not_reserved(&error, record)),
        }
    }

    pub(super) fn not_reserved(&self, error: &QuotaError, record: &Record) -> Error {
        match *error {
            QuotaError::Impossible { .. } => Error::new(ErrorKind::Impossible, error.to_string()),
            QuotaError::MustWait { .. } if Instant::now() >= self.deadline() => self.past_deadline(record),
            QuotaError::MustWait { wait: Some(wait), bottleneck: Bottleneck::Gate, .. } => {
                let (wait, last) = (wait.as_secs_f64(), record.last("; last: "));
                let message = format!(
                    "the deadline would pass before the provider may be asked again, in {wait:.1} s{last}"
                );
                Error::new(ErrorKind::Deadline, message)
            }
            QuotaError::MustWait { .. } => {
                Error::new(ErrorKind::Deadline, format!("{error}{}", record.last("; last: ")))
            }
            _ => shut_down(record),
        }
    }
}

/// Waits for a reservation. A request that begins to wait may lack what another process could give.
pub(super) async fn woken(
    shared: Option<&SharedQuota>,
    reserve: impl Future<Output = Result<Reservation, QuotaError>>,
) -> Result<Reservation, QuotaError> {
    let mut reserve = pin!(reserve);
    if let Some(shared) = shared {
        if let Some(reserved) = reserve.as_mut().now_or_never() {
            return reserved;
        }
        shared.wake();
    }
    reserve.await
}

/// Returns when all these gates are closed, for a request that has another route. A gate may be closed, or closed for
/// longer, while the request waits for its turn. Never returns without patience. It checks only now and then, because a
/// request that gives up its turn loses its position.
pub(super) async fn gates_closed(gates: &[&QuotaLimiter], patience: Option<Duration>) {
    let Some(patience) = patience else { return std::future::pending().await };
    loop {
        sleep(patience.clamp(SHORTEST_CHECK, CENTURY)).await;
        let now = Instant::now();
        if gates.iter().all(|quota| quota.gate_closed_until(now).is_some()) {
            return;
        }
    }
}
