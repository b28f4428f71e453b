//! Admission of a hedge: a second call beside a slow first one.

use super::*;

impl<'a> Admission<'a> {
    /// Takes another destination, or else the same one, if every limit has room now and nobody waits for it. A hedge is
    /// never a probe or a witness: it must not take a turn that other requests wait for.
    pub(crate) fn admit_hedge(&self, first: &Destination<'_>) -> Option<Admitted<'a>> {
        if self.lifecycle.is_paused() || !self.lifecycle.is_open() || self.member.stopped().is_some() {
            return None;
        }
        let now = Instant::now();
        let (same, others): (Vec<_>, Vec<_>) =
            self.destinations.iter().partition(|destination| std::ptr::eq(*destination, first));
        others.into_iter().chain(same).find_map(|destination| self.admit_now(destination, now))
    }

    fn admit_now(&self, destination: &'a Destination<'a>, now: Instant) -> Option<Admitted<'a>> {
        let Scope { model, .. } = &destination.scope;
        if !destination.scope.is_open(now) {
            return None;
        }
        let ScopeDecision::Go(permit) = destination.scope.admit(now) else { return None };
        if permit.is_probe_or_witness() {
            return None;
        }
        let charge = model.quota.try_reserve_at(destination.prepared.cost, now).ok()?.sent();
        self.with_budget(destination, permit, charge, None)
    }
}
