//! Quotas below other quotas: which of the lower ones may take from the upper one next, and how they learn of a change.
//!
//! A request asks its own quota first, then the one above it, and takes its cost from all of them or from none. Locks are
//! taken upwards only. So an upper quota releases its lock before it serves the lower ones: see [`follow_up`].

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Weak},
};

use tokio::time::Instant;

use super::{
    cost::{Cost, Total},
    error::{Bottleneck, TooLarge},
    policy::QuotaPolicy,
};
use crate::wait_queue::{Policy, RuntimeContext, WaitQueue};

/// The link of a quota to the one above it.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) queue: Arc<WaitQueue<QuotaPolicy>>,
    /// The queue of the quota itself, by which the one above knows it.
    own_handle: Weak<WaitQueue<QuotaPolicy>>,
    /// Whether the quota may be in the round robin of the one above. It is only a hint, because the round robin itself is
    /// under the other lock.
    has_turn: bool,
}

/// The quotas that wait for something of one quota, in turn.
///
/// It is empty unless a quota below waits. The first contender may take something, and then goes to the end. So a long
/// queue of one does not starve another. A quota whose request waits for something of its own is not a contender, and
/// delays no other.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    order: VecDeque<Contender>,
    /// All quotas below, waiting or not.
    children: Vec<Weak<WaitQueue<QuotaPolicy>>>,
    /// What the first contender waits for, since it last tried.
    reason: Option<Bottleneck>,
    /// The first contender has to be served: it is a new one, or something has changed.
    changed: bool,
    /// The gate was closed, so all quotas below have to check their deadlines.
    gate_closed: bool,
}

#[derive(Debug, Clone)]
enum Contender {
    /// The requests to this quota itself.
    Own,
    Child(Weak<WaitQueue<QuotaPolicy>>),
}

/// What waiting requests want.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Demand {
    /// The sum of their costs.
    pub(super) queued: Total,
    /// What the first request of a queue costs: in each dimension the largest over the queues.
    pub(super) first: Cost,
}

/// Why a request has to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocked {
    /// Until when it waits. `None` if time alone does not help.
    pub(super) at: Option<Instant>,
    pub(super) reason: Bottleneck,
}

/// The requests in the same queue that a request would overtake.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overtaken<'a> {
    /// The sum of their costs.
    pub(super) ahead: &'a Total,
    /// Their number.
    pub(super) kept: usize,
    /// When the first of them can be admitted.
    pub(super) head_at: Option<Instant>,
}

impl Parent {
    pub(super) fn new(queue: Arc<WaitQueue<QuotaPolicy>>, own_handle: Weak<WaitQueue<QuotaPolicy>>) -> Self {
        queue.with_policy(|policy| {
            policy.round_robin.children.retain(|child| child.strong_count() > 0);
            policy.round_robin.children.push(Weak::clone(&own_handle));
        });
        Self { queue, own_handle, has_turn: false }
    }

    /// The fast check: takes a cost from the quotas above.
    #[inline(never)]
    pub(super) fn admit_at_once(&self, cost: &Cost, now: Instant) -> bool {
        let admits = |policy: &mut QuotaPolicy| policy.waiting() == 0 && policy.admit_at_once(cost, now);
        self.queue.with_policy_if_open(admits).unwrap_or(false)
    }

    /// Takes a cost from the quotas above, or says why not. If the request would overtake no other, the quota becomes a
    /// contender there.
    pub(super) fn take(
        &mut self,
        cost: &Cost,
        overtaken: Option<Overtaken<'_>>,
        now: Instant,
    ) -> Result<(), Blocked> {
        let own_handle = &self.own_handle;
        let answer =
            self.queue.with_policy_if_open(|policy| policy.take_for_child(own_handle, cost, overtaken, now));
        // If the quota above is closed, the waits below it are ended too, so the reason does not matter.
        let answer = answer.unwrap_or(Err(Blocked { at: None, reason: Bottleneck::Gate }));
        if overtaken.is_none() {
            self.has_turn = answer.is_err();
        }
        answer
    }

    /// Leaves the round robin of the quota above, because no request below waits for it.
    pub(super) fn withdraw(&mut self) {
        if mem::take(&mut self.has_turn) {
            let own_handle = &self.own_handle;
            self.queue.with_policy(|policy| {
                policy.round_robin.remove(&Contender::Child(Weak::clone(own_handle)));
                policy.withdraw_if_idle();
            });
        }
    }

    pub(super) fn has_turn(&self) -> bool {
        self.has_turn
    }

    pub(super) fn too_small_for(&self, cost: &Cost) -> Option<TooLarge> {
        self.queue.with_policy(|policy| policy.impossible(cost))
    }
}

impl RoundRobin {
    /// Whether no quota below waits.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether the requests to the quota itself are first.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.order.front(), None | Some(Contender::Own))
    }

    pub(super) fn reason(&self) -> Bottleneck {
        self.reason.unwrap_or(Bottleneck::Concurrency)
    }

    /// A request to the quota itself has begun to wait.
    pub(super) fn own_joined(&mut self) {
        if !self.order.is_empty() {
            self.add(Contender::Own);
        }
    }

    /// No request to the quota itself waits any more.
    pub(super) fn own_left(&mut self) {
        if !self.order.is_empty() {
            self.remove(&Contender::Own);
        }
    }

    /// A request to the quota itself was admitted.
    pub(super) fn own_passed(&mut self) {
        if self.order.pop_front().is_some() {
            self.order.push_back(Contender::Own);
            self.changed = true;
        }
    }

    /// Something was given back or has changed. Returns whether a quota below has to be served.
    pub(super) fn note_change(&mut self) -> bool {
        // Most quotas have no quotas below.
        if self.children.is_empty() {
            return false;
        }
        self.changed |= !self.order.is_empty();
        self.changed | self.gate_closed
    }

    pub(super) fn gate_closed(&mut self) {
        self.gate_closed = !self.children.is_empty();
    }

    pub(super) fn children(&self) -> Vec<Arc<WaitQueue<QuotaPolicy>>> {
        self.children.iter().filter_map(Weak::upgrade).collect()
    }

    fn add(&mut self, contender: Contender) {
        if !self.order.contains(&contender) {
            self.order.push_back(contender);
        }
    }

    fn remove(&mut self, contender: &Contender) {
        let was_first = self.order.front() == Some(contender);
        self.order.retain(|other| other != contender);
        self.changed |= was_first && !self.order.is_empty();
    }

    /// A quota below has taken something. It leaves the front, and joins the end when it asks again.
    fn overtaken(&mut self, child: &Contender) {
        if self.order.front() == Some(child) {
            self.order.pop_front();
            self.changed |= !self.order.is_empty();
        }
    }

    /// What has to be served now, if anything.
    fn next(&mut self) -> Option<Next> {
        if mem::take(&mut self.gate_closed) {
            return Some(Next::All(self.children()));
        }
        while mem::take(&mut self.changed) {
            match self.order.front()? {
                Contender::Own => return Some(Next::Own),
                Contender::Child(child) => match child.upgrade() {
                    Some(child) => return Some(Next::Child(child)),
                    None => {
                        self.order.pop_front();
                        self.changed = true;
                    }
                },
            }
        }
        None
    }
}

impl PartialEq for Contender {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own, Self::Own) => true,
            (Self::Child(one), Self::Child(other)) => Weak::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl QuotaPolicy {
    /// Takes a cost for a quota below from this one and all above it, or says why not.
    fn take_for_child(
        &mut self,
        child: &Weak<WaitQueue<Self>>,
        cost: &Cost,
        overtaken: Option<Overtaken<'_>>,
        now: Instant,
    ) -> Result<(), Blocked> {
        let child = Contender::Child(Weak::clone(child));
        let is_its_turn = match self.round_robin.order.front() {
            Some(first) => *first == child,
            None => self.waiting() == 0,
        };
        let answer = if is_its_turn {
            self.take_from_all(cost, overtaken, now)
        } else {
            Err(Blocked { at: None, reason: self.round_robin.reason() })
        };
        match answer {
            Ok(()) => self.round_robin.overtaken(&child),
            Err(blocked) if overtaken.is_none() => {
                if self.round_robin.is_empty() && self.waiting() > 0 {
                    self.round_robin.add(Contender::Own);
                }
                self.round_robin.add(child);
                self.round_robin.reason = Some(blocked.reason);
            }
            Err(_) => {}
        }
        answer
    }

    /// Takes a cost from this quota and all above it, or says why not.
    pub(super) fn take_from_all(
        &mut self,
        cost: &Cost,
        overtaken: Option<Overtaken<'_>>,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.gate.blocks(now).is_none() {
            self.learn(now);
        }
        self.limits.refill(now);
        let checked = self.check(cost, overtaken, now);
        let Some(parent) = &mut self.parent else {
            return checked.map(|()| self.admit(cost, now));
        };
        match checked {
            Ok(()) => parent.take(cost, overtaken, now)?,
            Err(blocked) => {
                // It waits for something of this quota, so it must not delay the others above.
                if overtaken.is_none() {
                    parent.withdraw();
                }
                return Err(blocked);
            }
        }
        self.admit(cost, now);
        Ok(())
    }

    /// Leaves the round robin of the quota above, if no request is left that could take something.
    pub(super) fn withdraw_if_idle(&mut self) {
        if self.waiting() == 0
            && self.round_robin.is_empty()
            && let Some(parent) = &mut self.parent
        {
            parent.withdraw();
        }
    }
}

/// What has to be served.
enum Next {
    Own,
    Child(Arc<WaitQueue<QuotaPolicy>>),
    All(Vec<Arc<WaitQueue<QuotaPolicy>>>),
}

/// Serves the quotas below that a change concerns, here and then at each quota above. It is called without a lock.
pub(super) fn follow_up(queue: &Arc<WaitQueue<QuotaPolicy>>, now: Instant, context: RuntimeContext) {
    let mut level = Some(queue);
    while let Some(queue) = level {
        serve_below(queue, now, context);
        level = queue.parent();
    }
}

/// Serves the contenders one after the other, as long as there is something to take. It goes down by one quota at a time.
/// [`follow_up`] sees on its way up what this changes above.
fn serve_below(queue: &Arc<WaitQueue<QuotaPolicy>>, now: Instant, context: RuntimeContext) {
    while let Some(next) = queue.with_policy(|policy| policy.round_robin.next()) {
        match next {
            Next::Own => queue.serve_own(now, context),
            Next::Child(child) => serve_child(&child, now, context),
            Next::All(children) => children.iter().for_each(|child| {
                child.with_policy(|policy| policy.round_robin.gate_closed());
                serve_child(child, now, context);
            }),
        }
    }
}

fn serve_child(child: &Arc<WaitQueue<QuotaPolicy>>, now: Instant, context: RuntimeContext) {
    child.with_policy(|policy| policy.round_robin.note_change());
    child.serve_own(now, context);
    serve_below(child, now, context);
}

/// What the requests want that wait at a quota and at all below it. Each quota is locked by itself, so that this can run beside
/// anything.
pub(super) fn demand(queue: &WaitQueue<QuotaPolicy>, now: Instant) -> Demand {
    let (own, children) =
        queue.with_front(|policy, head| (policy.own_demand(head, now), policy.round_robin.children()));
    children.iter().map(|child| demand(child, now)).fold(own, |mut sum, below| {
        sum.queued += &below.queued;
        sum.first = sum.first.max(&below.first);
        sum
    })
}

/// Closes a quota and all below it.
pub(super) fn close(queue: &WaitQueue<QuotaPolicy>) {
    queue.close();
    let children = queue.with_policy(|policy| policy.round_robin.children());
    children.iter().for_each(|child| close(child));
}
