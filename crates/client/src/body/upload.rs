//! How far the upload of a body is, shared between the connection that sends it and the request that waits for the
//! reply.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use crate::error::BoxError;

/// How far a body was sent, for the task that waits for the reply.
///
/// Only a body that may take some time has one. With it, a long upload does not count as a slow server.
pub(crate) struct Upload(Mutex<State>);

#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// The connection took a piece at this time, and there are more pieces.
    Sending(Instant),
    /// The caller's stream has no data yet, so the server is not to blame for the wait.
    Producing,
    /// All of the body was handed over at this time.
    Done(Instant),
}

struct State {
    stage: Stage,
    error: Option<BoxError>,
    go: Go,
    /// The connection's waker, while the connection waits for the body.
    waiting: Option<Waker>,
}

/// Whether the body may be sent.
#[derive(Clone, Copy)]
enum Go {
    Yes,
    /// Once the server has asked for it.
    WhenAsked,
    /// The server has replied without asking for the body. Its reply is still read.
    NotAsked,
    /// Nobody needs the rest of the body.
    No,
}

impl Upload {
    pub(super) fn new() -> Arc<Self> {
        let stage = Stage::Sending(Instant::now());
        let state = State { stage, error: None, go: Go::Yes, waiting: None };
        Arc::new(Self(Mutex::new(state)))
    }

    /// A body's clock starts when a connection takes the request, not when the request was made.
    pub(crate) fn start(&self, now: Instant) {
        self.reach(Stage::Sending(now));
    }

    pub(crate) fn stage(&self) -> Stage {
        self.lock().stage
    }

    /// The error of the caller's own stream, if it failed.
    pub(crate) fn take_error(&self) -> Option<BoxError> {
        self.lock().error.take()
    }

    /// From now on the body waits until the server asks for it.
    pub(super) fn hold(&self) {
        self.lock().go = Go::WhenAsked;
    }

    pub(crate) fn is_held(&self) -> bool {
        matches!(self.lock().go, Go::WhenAsked)
    }

    /// Lets the body go, unless a reply came first. Returns whether it may go.
    pub(crate) fn ask(&self) -> bool {
        let state = self.lock();
        match state.go {
            Go::WhenAsked => {
                turn(state, Go::Yes);
                true
            }
            go => matches!(go, Go::Yes),
        }
    }

    /// A reply has come. If the body was not asked for until now, it is not sent.
    pub(crate) fn replied(&self) {
        let mut state = self.lock();
        if let Go::WhenAsked = state.go {
            state.go = Go::NotAsked;
        }
    }

    /// Nobody needs the rest of the body, so its connection ends.
    pub(crate) fn stop(&self) {
        turn(self.lock(), Go::No);
    }

    /// Ready with whether the body is to be sent.
    pub(super) fn poll_go(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        match state.go {
            Go::Yes => Poll::Ready(true),
            Go::No => Poll::Ready(false),
            Go::WhenAsked | Go::NotAsked => {
                state.wait(cx);
                Poll::Pending
            }
        }
    }

    /// The body has no data yet.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        self.lock().wait(cx);
    }

    pub(super) fn reach(&self, stage: Stage) {
        self.lock().stage = stage;
    }

    pub(super) fn fail(&self, error: BoxError) {
        self.lock().error = Some(error);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes the permission to send. The waiting task is woken after the lock is released.
fn turn(mut state: MutexGuard<'_, State>, go: Go) {
    state.go = go;
    let waiting = state.waiting.take();
    drop(state);
    if let Some(waiting) = waiting {
        waiting.wake();
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        self.stage = Stage::Producing;
        match &mut self.waiting {
            Some(waiting) => waiting.clone_from(cx.waker()),
            None => self.waiting = Some(cx.waker().clone()),
        }
    }
}
