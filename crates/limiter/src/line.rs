//! A line of waiters before a desk that lets them through as time allows: what rates and quotas have in common.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};

use outbound_waitlist::{Left, Locked, Scan, WaitList, Waiter, Wakers};
use tokio::time::Instant;

mod alarm;
mod desk;
mod round;
mod turn;

pub(crate) use self::{
    desk::{Answer, Desk, Refusal, Verdict},
    turn::Turn,
};

use self::{
    alarm::Alarm,
    round::{earliest, expire, late, next_alarm, refuse, round},
};

/// The line. Its handle is an `Arc`, which is also what its timer wakes.
///
/// The timer belongs to the line and not to the waiter at its head: when it rings, the line lets through whoever is
/// due. So no waiter is polled in vain, and none that is left unpolled holds up the others.
pub(crate) struct Line<D: Desk> {
    list: WaitList<State<D>, Entry<D>>,
    /// The line whose desk this one asks, too.
    parent: Option<Arc<Self>>,
}

#[derive(Debug)]
struct State<D> {
    desk: D,
    alarm: Alarm,
    /// Not later than the earliest deadline in the line.
    first_deadline: Option<Instant>,
    closed: bool,
}

/// A waiter's place.
#[derive(Debug)]
struct Entry<D: Desk> {
    ask: D::Ask,
    deadline: Option<Instant>,
    /// Set when it is let go.
    answer: Option<Answer<D>>,
}

type Queue<'a, D> = Locked<'a, State<D>, Entry<D>>;
type Place<D> = Waiter<State<D>, Entry<D>>;

/// Who asks for a round, which decides whether it may touch the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A task that waits, or the timer.
    Runtime,
    /// Anybody, perhaps outside of any runtime: the head of the line is woken to see to the timer.
    Anybody,
}

impl<D: Desk> Line<D> {
    pub(crate) fn new(desk: D) -> Arc<Self> {
        Arc::new(Self::with_parent(desk, None))
    }

    /// A line whose desk asks that of another line, too. The desk is made of the handle by which the other knows it.
    pub(crate) fn below(parent: Arc<Self>, desk: impl FnOnce(Weak<Self>) -> D) -> Arc<Self> {
        Arc::new_cyclic(|me| Self::with_parent(desk(Weak::clone(me)), Some(parent)))
    }

    fn with_parent(desk: D, parent: Option<Arc<Self>>) -> Self {
        let state = State { desk, alarm: Alarm::new(), first_deadline: None, closed: false };
        Self { list: WaitList::new(state), parent }
    }

    pub(crate) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Lets one through now if nobody waits.
    // Always: an answer is a large type, which would go through memory for the few instructions that all this is.
    #[inline(always)]
    pub(crate) fn try_at(self: &Arc<Self>, ask: &D::Ask, now: Instant) -> Answer<D> {
        if self.admits_at_once(ask, now) { Ok(()) } else { self.try_slowly(ask, now) }
    }

    /// Everything but the plain case of [`try_at`](Self::try_at).
    #[cold]
    #[inline(never)]
    fn try_slowly(self: &Arc<Self>, ask: &D::Ask, now: Instant) -> Answer<D> {
        let mut line = self.list.lock();
        refuse(&line, ask)?;
        if line.is_empty() {
            line.desk.begin(now);
            if line.desk.consider(ask) == Verdict::Admit {
                return Ok(());
            }
        }
        let late = late(&mut line, ask, now);
        line.desk.went_away();
        drop(line);
        D::follow(self, now, Caller::Anybody);
        Err(late)
    }

    /// Lets one through now if nobody waits and that is plain to see. `false`: somebody has to look closer.
    #[inline(always)]
    pub(crate) fn admits_at_once(&self, ask: &D::Ask, now: Instant) -> bool {
        let Some(mut line) = self.list.try_hold() else { return false };
        !line.closed && line.nobody_waits() && line.desk.admit_at_once(ask, now)
    }

    /// Reads from the desk, and changes nothing that could let anybody through.
    #[inline]
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut D) -> R) -> R {
        look(&mut self.list.hold().desk)
    }

    /// [`look`](Self::look), unless the line is closed.
    #[inline]
    pub(crate) fn look_if_open<R>(&self, look: impl FnOnce(&mut D) -> R) -> Option<R> {
        let mut line = self.list.hold();
        if line.closed { None } else { Some(look(&mut line.desk)) }
    }

    /// Changes the desk, and lets through whoever may go now.
    pub(crate) fn change<R>(self: &Arc<Self>, now: Instant, change: impl FnOnce(&mut D) -> R) -> R {
        let mut line = self.list.lock();
        let result = change(&mut line.desk);
        let nobody = !line.desk.stir() & line.is_empty();
        drop(line);
        if !nobody {
            self.serve(now, Caller::Anybody);
        }
        result
    }

    /// Gives something back to the desk. The clock is read only if somebody waits for it.
    #[inline(always)]
    pub(crate) fn give(self: &Arc<Self>, give: impl FnOnce(&mut D)) {
        let mut line = self.list.hold();
        give(&mut line.desk);
        let nobody = !line.desk.stir() & line.nobody_waits();
        drop(line);
        if !nobody {
            self.serve_now();
        }
    }

    #[cold]
    #[inline(never)]
    fn serve_now(self: &Arc<Self>) {
        self.serve(Instant::now(), Caller::Anybody);
    }

    pub(crate) fn close(&self) {
        loop {
            let mut wakers = Wakers::new();
            let mut line = self.list.lock();
            line.closed = true;
            let done = line.scan(&mut wakers, |state, entry| {
                state.desk.left(&entry.ask);
                entry.answer = Some(Err(Refusal::Closed));
                Scan::Wake
            });
            if done {
                return line.alarm.clear();
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.list.lock().closed
    }

    pub(crate) fn waiting(&self) -> usize {
        self.list.lock().len()
    }

    /// Lets one through, or refuses it, or puts it at the end of the line.
    fn poll_join(
        self: &Arc<Self>,
        place: Pin<&mut Place<D>>,
        ask: D::Ask,
        deadline: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<D>> {
        let now = Instant::now();
        let mut line = self.list.lock();
        if !line.closed && line.is_empty() && line.desk.admit_at_once(&ask, now) {
            return Poll::Ready(Ok(()));
        }
        let answer = Self::join(&mut line, place, ask, deadline, now, cx);
        drop(line);
        D::follow(self, now, Caller::Runtime);
        answer
    }

    fn join(
        line: &mut Queue<'_, D>,
        place: Pin<&mut Place<D>>,
        ask: D::Ask,
        deadline: Option<Instant>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<D>> {
        refuse(line, &ask)?;
        let admitted = match line.front() {
            Some((state, head)) => state.desk.pass(&head.ask, &ask, now),
            None => {
                line.desk.begin(now);
                line.desk.consider(&ask) == Verdict::Admit
            }
        };
        if admitted {
            return Poll::Ready(Ok(()));
        }
        if let Some(deadline) = deadline {
            let (until, _) = line.desk.estimate(&ask, now);
            if deadline <= now || until.is_none_or(|until| until > deadline) {
                let late = late(line, &ask, now);
                line.desk.went_away();
                return Poll::Ready(Err(late));
            }
            line.first_deadline = earliest(line.first_deadline, Some(deadline));
        }
        line.desk.joined(&ask);
        line.enqueue(place, Entry { ask, deadline, answer: None }, cx);
        Poll::Pending
    }

    /// The answer of one in line. It also sees to the timer, for which it may have been woken.
    fn poll_answer(self: &Arc<Self>, mut place: Pin<&mut Place<D>>, cx: &mut Context<'_>) -> Poll<Answer<D>> {
        loop {
            let mut line = self.list.lock();
            if let Poll::Ready(entry) = line.poll_woken(place.as_mut(), cx) {
                return Poll::Ready(entry.answer.unwrap_or(Err(Refusal::Closed)));
            }
            if self.see_to_alarm(&mut line).is_pending() {
                return Poll::Pending;
            }
            drop(line);
            self.serve(Instant::now(), Caller::Runtime);
        }
    }

    /// A waiter goes away. Its place may have held up others, and what it was given goes back.
    fn leave(self: &Arc<Self>, place: Pin<&mut Place<D>>) {
        let now = Instant::now();
        let mut line = self.list.lock();
        let mut unused = None;
        match line.leave(place) {
            Some(Left::Queued(entry)) => line.desk.left(&entry.ask),
            Some(Left::Woken(entry)) if matches!(entry.answer, Some(Ok(()))) => unused = Some(entry.ask),
            _ => {}
        }
        drop(line);
        let Some(ask) = unused else { return self.serve(now, Caller::Anybody) };
        for line in std::iter::successors(Some(self), |line| line.parent()) {
            line.change(now, |desk| desk.give_back(&ask));
        }
    }

    /// Lets through all whose turn it is, here and in the lines that this has an effect on.
    fn serve(self: &Arc<Self>, now: Instant, caller: Caller) {
        self.serve_own(now, caller);
        D::follow(self, now, caller);
    }

    /// Lets through all in this line whose turn it is.
    pub(crate) fn serve_own(self: &Arc<Self>, now: Instant, caller: Caller) {
        let mut now = now;
        loop {
            let mut wakers = Wakers::new();
            let mut line = self.list.lock();
            let done = round(&mut line, &mut wakers, now) && expire(&mut line, &mut wakers, now);
            if !done || wakers.is_full() {
                continue;
            }
            match caller {
                Caller::Runtime if self.see_to_alarm(&mut line).is_ready() => now = now.max(Instant::now()),
                Caller::Runtime => return,
                Caller::Anybody => {
                    match next_alarm(&line) {
                        None => line.alarm.clear(),
                        Some(at) if line.alarm.is_due_by(at) => {}
                        Some(_) => wakers.push(line.nudge_front()),
                    }
                    return;
                }
            }
        }
    }

    /// Registers the next wake-up. Ready if it is due already.
    fn see_to_alarm(self: &Arc<Self>, line: &mut Queue<'_, D>) -> Poll<()> {
        let Some(at) = next_alarm(line) else {
            line.alarm.clear();
            return Poll::Pending;
        };
        if line.alarm.is_due_by(at) {
            return Poll::Pending;
        }
        line.alarm.arm(at, &Waker::from(Arc::clone(self)))
    }
}

impl<D: Desk> Wake for Line<D> {
    /// The timer rings.
    fn wake(self: Arc<Self>) {
        let now = Instant::now();
        let mut line = self.list.lock();
        let lives = line.alarm.rang(now);
        drop(line);
        self.serve(now, if lives { Caller::Runtime } else { Caller::Anybody });
    }
}

impl<D: Desk> fmt::Debug for Line<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
    }
}
