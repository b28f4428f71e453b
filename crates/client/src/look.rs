//! A last look at what has arrived, before a request gives up for the time that has passed.
//!
//! Bytes reach a request through its connection's task. Where the process was stopped or a thread was held up, a timer
//! can wake the request before that task had its turn, and an answer that came in time would be lost. So a request whose
//! limit has passed asks the connection's task to look at the socket first. It yields to the scheduler, which looks for
//! what the sockets have before it wakes who yielded, reads, and tells the request.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::alarm::Flag;

/// What the requests on a connection and its task tell each other.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    // Whether somebody waits for one. Read at each turn of the task, so beside the lock.
    asked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the connection's task, from its first turn on.
    task: Option<Waker>,
    /// How many looks have begun, and how many of them are over.
    begun: u64,
    over: u64,
    waiting: Vec<Waker>,
    /// Whether there is no task any more.
    ended: bool,
}

/// A look that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look(u64);

impl Looks {
    /// Asks for a look that begins from now on.
    pub(crate) fn ask(&self) -> Look {
        let state = self.state.lock();
        // One under way may be past what has just arrived.
        let look = Look(state.begun + 1);
        self.asked.store(true, Ordering::Release);
        let task = state.task.clone();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        look
    }

    /// Ready once the look is over, or the connection.
    pub(crate) fn poll(&self, look: Look, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.ended || state.over >= look.0 {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn finish(&self, ended: bool) {
        let mut state = self.state.lock();
        state.over = state.begun;
        state.ended |= ended;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// What a request does for its last look.
pub(crate) enum LastLook {
    /// It asked the connection's task.
    Asked(Look),
    /// It has no connection yet, and lets the tasks that may bring one have their turns.
    Turns(Turns),
}

impl LastLook {
    pub(crate) fn begin(looks: Option<&Looks>) -> Self {
        looks.map_or_else(|| Self::Turns(Turns::new()), |looks| Self::Asked(looks.ask()))
    }

    pub(crate) fn poll(&mut self, looks: Option<&Looks>, cx: &Context<'_>) -> Poll<()> {
        match (self, looks) {
            (Self::Asked(look), Some(looks)) => looks.poll(*look, cx),
            (Self::Asked(_), None) => Poll::Ready(()),
            (Self::Turns(turns), _) => turns.poll(cx),
        }
    }
}

/// The task's side.
pub(crate) struct Looking<'a> {
    looks: &'a Looks,
    // Of the one under way.
    turns: Option<Turns>,
}

impl<'a> Looking<'a> {
    pub(crate) fn new(looks: &'a Looks) -> Self {
        Self { looks, turns: None }
    }

    /// To be called once, in the first turn.
    pub(crate) fn begin(&self, cx: &Context<'_>) {
        self.looks.state.lock().task = Some(cx.waker().clone());
    }

    /// To be called in each turn, after the connection was read.
    #[inline]
    pub(crate) fn turn(&mut self, cx: &Context<'_>) {
        if self.turns.is_some() || self.looks.asked.load(Ordering::Relaxed) {
            self.look(cx);
        }
    }

    #[cold]
    fn look(&mut self, cx: &Context<'_>) {
        loop {
            // The connection was read in this turn, after the scheduler had looked.
            if let Some(turns) = &mut self.turns {
                if turns.poll(cx).is_pending() {
                    return;
                }
                self.turns = None;
                self.looks.finish(false);
            }
            if !self.looks.asked.swap(false, Ordering::Acquire) {
                return;
            }
            self.looks.state.lock().begun += 1;
            self.turns = Some(Turns::new());
        }
    }
}

/// A few turns of the scheduler.
pub(crate) struct Turns {
    turn: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    // The scheduler's wake-up, told from others: a task that is woken by somebody else has not seen a turn.
    woken: Option<(Arc<Flag>, Waker)>,
    left: u8,
}

impl Turns {
    // One would do where a task reads itself. HTTP/2 hands a head on to a task of the stream's, and another thread may
    // be about to say what the sockets have.
    const MANY: u8 = 3;

    fn new() -> Self {
        Self { turn: Box::pin(turn()), woken: None, left: Self::MANY }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        while self.left > 0 {
            if self.woken.as_ref().is_none_or(|(_, task)| !task.will_wake(cx.waker())) {
                self.woken = Some((Flag::raised(cx.waker()), cx.waker().clone()));
                self.turn = Box::pin(turn());
            }
            let Some((flag, _)) = &self.woken else { return Poll::Pending };
            if !flag.take() {
                return Poll::Pending;
            }
            let waker = Waker::from(flag.clone());
            if self.turn.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.left -= 1;
                self.woken = None;
            }
        }
        Poll::Ready(())
    }
}

/// Ready once the runtime has looked for what the sockets have, and told their tasks.
async fn turn() {
    tokio::task::yield_now().await;
    // Where it is another thread that looks, this one can be back before that is done. A timer is not: the thread that
    // looks tells of the sockets first. (With one thread, time that is paused does not move for this.)
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if flavor.is_ok_and(|flavor| flavor != RuntimeFlavor::CurrentThread) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.looks.finish(true);
    }
}
