//! A quota below another one: whose turn it is at the upper one, and who is told when something changes there.
//!
//! A request asks its own quota first, then the one above it, and takes from all of them or from none. Locks are taken
//! from below upwards only. So whatever an upper quota has to tell the lower ones is told without its lock: see
//! [`follow`].

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Weak},
};

use tokio::time::Instant;

use super::{
    cost::{Cost, Total},
    desk::QuotaDesk,
    error::{Bottleneck, TooLarge},
};
use crate::line::{Caller, Desk, Line};

/// The quota above, as the one below it sees it.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) line: Arc<Line<QuotaDesk>>,
    /// The line of the quota below, by which the one above knows it.
    me: Weak<Line<QuotaDesk>>,
    /// Whether the quota below may have a turn there. Only a hint: the turns themselves are under the other lock.
    has_turn: bool,
}

/// Those who wait for something of a quota, in turn.
///
/// Empty unless a quota below waits. Whoever is first may ask; one who gets something goes to the end. So a long line of
/// one does not starve another. One who waits for something of its own has no turn, and holds up nobody.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turns: VecDeque<Turn>,
    /// All the quotas below, waiting or not.
    children: Vec<Weak<Line<QuotaDesk>>>,
    /// What the first was refused for, the last time it asked.
    reason: Option<Bottleneck>,
    /// The first is to be served: it is another one, or something has changed.
    stirred: bool,
    /// All below are to be looked at: the gate was closed, and their deadlines may come before it opens.
    gate_closed: bool,
}

#[derive(Debug, Clone)]
enum Turn {
    /// Those who ask this quota itself.
    Own,
    Child(Weak<Line<QuotaDesk>>),
}

/// Why a request has to wait, and until when, if time alone helps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) at: Option<Instant>,
    pub(super) reason: Bottleneck,
}

/// The requests of the same line that one would pass: their sum, their number, and when the first of them can go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed<'a> {
    pub(super) ahead: &'a Total,
    pub(super) kept: usize,
    pub(super) head_at: Option<Instant>,
}

impl Parent {
    pub(super) fn new(line: Arc<Line<QuotaDesk>>, me: Weak<Line<QuotaDesk>>) -> Self {
        line.look(|desk| {
            desk.turns.children.retain(|child| child.strong_count() > 0);
            desk.turns.children.push(Weak::clone(&me));
        });
        Self { line, me, has_turn: false }
    }

    /// Takes a cost from the quotas above, if it is plain that it may be had.
    #[inline(never)]
    pub(super) fn admit_at_once(&self, cost: &Cost, now: Instant) -> bool {
        let admits = |desk: &mut QuotaDesk| desk.waiting() == 0 && desk.admit_at_once(cost, now);
        self.line.look_if_open(admits).unwrap_or(false)
    }

    /// Takes a cost from the quotas above, or says why not. One that does not pass others gets a turn there.
    pub(super) fn ask(&mut self, cost: &Cost, passed: Option<Passed<'_>>, now: Instant) -> Result<(), Held> {
        let me = &self.me;
        let answer = self.line.look_if_open(|desk| desk.ask_from_below(me, cost, passed, now));
        // Whoever closes a quota ends the waits below it, too.
        let answer = answer.unwrap_or(Err(Held { at: None, reason: Bottleneck::Gate }));
        if passed.is_none() {
            self.has_turn = answer.is_err();
        }
        answer
    }

    /// Gives up the turn: nobody below waits for the quota above.
    pub(super) fn withdraw(&mut self) {
        if mem::take(&mut self.has_turn) {
            let me = &self.me;
            self.line.look(|desk| {
                desk.turns.remove(&Turn::Child(Weak::clone(me)));
                desk.withdraw_if_idle();
            });
        }
    }

    pub(super) fn has_turn(&self) -> bool {
        self.has_turn
    }

    pub(super) fn too_small_for(&self, cost: &Cost) -> Option<TooLarge> {
        self.line.look(|desk| desk.never(cost))
    }
}

impl Turns {
    /// Whether nobody below waits.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether those who ask the quota itself are first.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.turns.front(), None | Some(Turn::Own))
    }

    pub(super) fn reason(&self) -> Bottleneck {
        self.reason.unwrap_or(Bottleneck::Concurrency)
    }

    /// Those who ask the quota itself have begun to wait.
    pub(super) fn own_joined(&mut self) {
        if !self.turns.is_empty() {
            self.add(Turn::Own);
        }
    }

    /// None of them waits any more.
    pub(super) fn own_left(&mut self) {
        if !self.turns.is_empty() {
            self.remove(&Turn::Own);
        }
    }

    /// One of them was let through.
    pub(super) fn own_passed(&mut self) {
        if self.turns.pop_front().is_some() {
            self.turns.push_back(Turn::Own);
            self.stirred = true;
        }
    }

    /// Something was given back, or has changed. Whether somebody has to be told.
    pub(super) fn stir(&mut self) -> bool {
        // Without quotas below, which is the rule, there are no turns.
        if self.children.is_empty() {
            return false;
        }
        self.stirred |= !self.turns.is_empty();
        self.stirred | self.gate_closed
    }

    pub(super) fn gate_closed(&mut self) {
        self.gate_closed = !self.children.is_empty();
    }

    pub(super) fn children(&self) -> Vec<Arc<Line<QuotaDesk>>> {
        self.children.iter().filter_map(Weak::upgrade).collect()
    }

    fn add(&mut self, turn: Turn) {
        if !self.turns.contains(&turn) {
            self.turns.push_back(turn);
        }
    }

    fn remove(&mut self, turn: &Turn) {
        let was_first = self.turns.front() == Some(turn);
        self.turns.retain(|other| other != turn);
        self.stirred |= was_first && !self.turns.is_empty();
    }

    /// A quota below has got something: it goes to the end, which it does by asking again.
    fn passed(&mut self, child: &Turn) {
        if self.turns.front() == Some(child) {
            self.turns.pop_front();
            self.stirred |= !self.turns.is_empty();
        }
    }

    /// Who is to be served now, if anybody is.
    fn next(&mut self) -> Option<Next> {
        if mem::take(&mut self.gate_closed) {
            return Some(Next::All(self.children()));
        }
        while mem::take(&mut self.stirred) {
            match self.turns.front()? {
                Turn::Own => return Some(Next::Own),
                Turn::Child(child) => match child.upgrade() {
                    Some(child) => return Some(Next::Child(child)),
                    None => {
                        self.turns.pop_front();
                        self.stirred = true;
                    }
                },
            }
        }
        None
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own, Self::Own) => true,
            (Self::Child(one), Self::Child(other)) => Weak::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl QuotaDesk {
    /// Takes a cost for a quota below from this one and all above it, or says why not.
    fn ask_from_below(
        &mut self,
        child: &Weak<Line<Self>>,
        cost: &Cost,
        passed: Option<Passed<'_>>,
        now: Instant,
    ) -> Result<(), Held> {
        let child = Turn::Child(Weak::clone(child));
        let is_its_turn = match self.turns.turns.front() {
            Some(first) => *first == child,
            None => self.waiting() == 0,
        };
        let answer = if is_its_turn {
            self.take_from_all(cost, passed, now)
        } else {
            Err(Held { at: None, reason: self.turns.reason() })
        };
        match answer {
            Ok(()) => self.turns.passed(&child),
            Err(held) if passed.is_none() => {
                if self.turns.is_empty() && self.waiting() > 0 {
                    self.turns.add(Turn::Own);
                }
                self.turns.add(child);
                self.turns.reason = Some(held.reason);
            }
            Err(_) => {}
        }
        answer
    }

    /// Takes a cost from this quota and all above it, or says why not.
    pub(super) fn take_from_all(
        &mut self,
        cost: &Cost,
        passed: Option<Passed<'_>>,
        now: Instant,
    ) -> Result<(), Held> {
        if self.gate.blocks(now).is_none() {
            self.learn(now);
        }
        self.limits.refill(now);
        let checked = self.check(cost, passed, now);
        let Some(parent) = &mut self.parent else {
            return checked.map(|()| self.admit(cost, now));
        };
        match checked {
            Ok(()) => parent.ask(cost, passed, now)?,
            Err(held) => {
                // What it waits for is its own, so it must not hold up others above.
                if passed.is_none() {
                    parent.withdraw();
                }
                return Err(held);
            }
        }
        self.admit(cost, now);
        Ok(())
    }

    /// Gives up the turn above if nobody is left who could use it.
    pub(super) fn withdraw_if_idle(&mut self) {
        if self.waiting() == 0
            && self.turns.is_empty()
            && let Some(parent) = &mut self.parent
        {
            parent.withdraw();
        }
    }
}

/// Who is to be served.
enum Next {
    Own,
    Child(Arc<Line<QuotaDesk>>),
    All(Vec<Arc<Line<QuotaDesk>>>),
}

/// Serves those below whom a change concerns, then those below each quota above. No lock is held.
pub(super) fn follow(line: &Arc<Line<QuotaDesk>>, now: Instant, caller: Caller) {
    let mut level = Some(line);
    while let Some(line) = level {
        serve_below(line, now, caller);
        level = line.parent();
    }
}

/// One after the other, for as long as there is something to be had. It goes down by one quota at a time, and what it
/// changes above is seen by [`follow`] on its way up.
fn serve_below(line: &Arc<Line<QuotaDesk>>, now: Instant, caller: Caller) {
    while let Some(next) = line.look(|desk| desk.turns.next()) {
        match next {
            Next::Own => line.serve_own(now, caller),
            Next::Child(child) => serve_child(&child, now, caller),
            Next::All(children) => children.iter().for_each(|child| {
                child.look(|desk| desk.turns.gate_closed());
                serve_child(child, now, caller);
            }),
        }
    }
}

fn serve_child(child: &Arc<Line<QuotaDesk>>, now: Instant, caller: Caller) {
    child.look(|desk| desk.turns.stir());
    child.serve_own(now, caller);
    serve_below(child, now, caller);
}

/// Closes a quota and all below it.
pub(super) fn close(line: &Line<QuotaDesk>) {
    line.close();
    let children = line.look(|desk| desk.turns.children());
    children.iter().for_each(|child| close(child));
}
