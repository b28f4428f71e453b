//! The last look: before a request fails because of a limit, it checks once more what has arrived.
//!
//! The bytes for a request are read by the task of its connection. If the process was stopped or a thread was
//! blocked, a timer may wake the request before that task has run. Then an answer that came in time would be lost. So
//! a request whose limit has passed first asks the connection's task to look at the socket. That task yields to the
//! scheduler. The scheduler polls the sockets before it wakes tasks that yielded. Then the task reads, and tells the
//! request.

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

use crate::reused_timer::WakeFlag;

/// The state that the requests on a connection share with its task.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    // Whether a request waits for a look. The task reads it in each turn, so it is outside the lock.
    asked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The waker of the connection's task, from its first turn on.
    task: Option<Waker>,
    /// How many looks have begun, and how many of them are finished.
    begun: u64,
    over: u64,
    waiting: Vec<Waker>,
    /// Whether the connection's task has ended.
    ended: bool,
}

/// A look that a request has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look(u64);

impl Looks {
    /// Asks for a look that begins after this call.
    pub(crate) fn ask(&self) -> Look {
        let state = self.state.lock();
        // A look that is under way may have passed the point where it would see new data.
        let look = Look(state.begun + 1);
        self.asked.store(true, Ordering::Release);
        let task = state.task.clone();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        look
    }

    /// Ready once the look is finished, or the connection has ended.
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

/// What a request waits for in its last look.
pub(crate) enum LastLook {
    /// It asked the connection's task.
    Asked(Look),
    /// It has no connection yet, so it lets the tasks run that may bring one.
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
    // For the look that is under way.
    turns: Option<Turns>,
}

impl<'a> Looking<'a> {
    pub(crate) fn new(looks: &'a Looks) -> Self {
        Self { looks, turns: None }
    }

    /// Must be called once, in the first turn of the task.
    pub(crate) fn begin(&self, cx: &Context<'_>) {
        self.looks.state.lock().task = Some(cx.waker().clone());
    }

    /// Must be called in each turn of the task, after the connection was read.
    #[inline]
    pub(crate) fn turn(&mut self, cx: &Context<'_>) {
        if self.turns.is_some() || self.looks.asked.load(Ordering::Relaxed) {
            self.look(cx);
        }
    }

    #[cold]
    fn look(&mut self, cx: &Context<'_>) {
        loop {
            // In this turn the connection was read after the scheduler had polled the sockets.
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

/// Waits for a few turns of the scheduler.
pub(crate) struct Turns {
    turn: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    // Recognizes the scheduler's wake-up. If another event wakes the task, no turn has passed yet.
    woken: Option<(Arc<WakeFlag>, Waker)>,
    left: u8,
}

impl Turns {
    // One turn is enough if a task reads the socket itself. But HTTP/2 passes a head on to the stream's task, and
    // another thread may have polled the sockets and not yet woken the tasks.
    const MANY: u8 = 3;

    fn new() -> Self {
        Self { turn: Box::pin(turn()), woken: None, left: Self::MANY }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        while self.left > 0 {
            if self.woken.as_ref().is_none_or(|(_, task)| !task.will_wake(cx.waker())) {
                self.woken = Some((WakeFlag::raised(cx.waker()), cx.waker().clone()));
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

/// Ready once the runtime has polled the sockets and woken their tasks.
async fn turn() {
    tokio::task::yield_now().await;
    // With several threads, another one may poll the sockets, and this task may run again before that is finished. A
    // timer does not fire before that: the polling thread reports sockets first. (With one thread, this branch is not
    // used, so paused time does not advance because of it.)
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
