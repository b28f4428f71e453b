//! The waiters of a pool, and the dials that run for them.

use std::sync::Arc;

use tokio::time::Instant;

use super::State;
use crate::{
    connect::DialError,
    limits::DialLimits,
    pool::{after_unlock::AfterUnlock, dial_progress::DialProgress, waiter::Waiter},
};

impl State {
    pub(in crate::pool) fn next_waiter(&mut self) -> Option<Arc<Waiter>> {
        self.remove(0)
    }

    /// Removes a waiter that gives up. Such a waiter is mostly near the front, because its limit passes first.
    pub(in crate::pool) fn leave(&mut self, waiter: &Arc<Waiter>) {
        if let Some(position) = self.waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            self.remove(position);
        }
    }

    pub(in crate::pool) fn remove(&mut self, position: usize) -> Option<Arc<Waiter>> {
        let waiter = self.waiters.remove(position)?;
        if position < self.notified {
            self.notified -= 1;
            match waiter.dial().filter(|dial| !dial.is_over()) {
                Some(dial) => {
                    let was_full = dial.followers() >= self.each();
                    dial.remove_follower();
                    if was_full {
                        self.spare.push(dial);
                    }
                }
                None => self.lost_dial -= 1,
            }
        }
        Some(waiter)
    }

    /// A dial has ended. Waiters that followed it wait for another dial, unless they are served now.
    pub(in crate::pool) fn end(&mut self, dial: &Arc<DialProgress>, now: Instant) {
        self.dialing -= 1;
        dial.end(now);
        self.spare.retain(|other| !Arc::ptr_eq(other, dial));
        self.overdue.retain(|other| !Arc::ptr_eq(other, dial));
        self.lost_dial += dial.followers();
        if self.lost_dial == self.notified {
            (self.notified, self.lost_dial) = (0, 0);
        }
    }

    /// How many dials are under way that waiters can count on.
    pub(in crate::pool) fn dials(&self) -> usize {
        self.dialing - self.overdue.len()
    }

    /// Stops counting on dials that no waiter follows and that a request with these limits would have given up by
    /// now.
    pub(in crate::pool) fn pass_over_overdue(&mut self, limits: DialLimits, now: Instant) {
        let is_overdue = |dial: &mut Arc<DialProgress>| dial.followers() == 0 && dial.is_overdue(limits, now);
        self.overdue.extend(self.spare.extract_if(.., is_overdue));
    }

    /// The first position, from `from` on, of a waiter without a dial: one that lost its dial, or else one that was
    /// not told of any.
    pub(in crate::pool) fn without_dial(&self, from: usize) -> Option<usize> {
        let lost_dial = if self.lost_dial > 0 {
            (from..self.notified).find(|position| self.waiters[*position].has_lost_dial())
        } else {
            None
        };
        lost_dial.or_else(|| (self.notified < self.waiters.len()).then_some(self.notified))
    }

    /// Assigns spare dials to waiters without a dial, from a position on. Returns where the next such waiter may be.
    pub(in crate::pool) fn assign_spare(
        &mut self,
        mut from: usize,
        now: Instant,
        after_unlock: &mut AfterUnlock,
    ) -> usize {
        let each = self.each();
        while let Some(dial) = self.spare.last() {
            // In the meantime a server may have said that it allows fewer streams.
            if dial.followers() >= each {
                self.spare.pop();
                continue;
            }
            let Some(position) = self.without_dial(from) else { break };
            dial.add_follower();
            after_unlock.work().wake.extend(self.waiters[position].follow(dial.clone(), now));
            if position == self.notified {
                self.notified += 1;
            } else {
                self.lost_dial -= 1;
            }
            from = position + 1;
        }
        from
    }

    pub(in crate::pool) fn fail(&mut self, error: &DialError, now: Instant, after_unlock: &mut AfterUnlock) {
        if let DialError::Timeout(stage, _) = *error {
            // The dial took too long for the waiters that have waited that long. Later waiters get the next dial.
            let mut position = 0;
            while let Some(waiter) = self.waiters.get(position) {
                let Some(limit) = waiter.overdue(stage, now) else {
                    position += 1;
                    continue;
                };
                after_unlock.work().wake.extend(waiter.serve(Err(DialError::Timeout(stage, limit))));
                self.remove(position);
            }
            return;
        }
        // A failure is the answer for as many waiters as the connection would have served, except those that follow
        // another dial.
        let each = self.each();
        let mut answered = 0;
        while self.waiters.len() > self.dials().saturating_mul(each) && answered < each {
            let Some(waiter) = self.next_waiter() else { return };
            after_unlock.work().wake.extend(waiter.serve(Err(error.clone())));
            answered += 1;
        }
    }
}
