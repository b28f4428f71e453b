use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use crate::error::BoxError;

/// How far a body has got, for the one who waits for the reply.
///
/// Only a body that may take a while has one: it is what keeps a long upload from counting as a slow server.
pub(crate) struct Upload(Mutex<State>);

#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// The connection last took a piece at this time, and there are more.
    Sending(Instant),
    /// The caller's stream has nothing yet; nobody else is to blame.
    Producing,
    /// Handed over whole at this time.
    Done(Instant),
}

struct State {
    stage: Stage,
    error: Option<BoxError>,
    go: Go,
    /// Of the connection, while it waits for the body.
    waiting: Option<Waker>,
}

/// Whether a body may be sent.
#[derive(Clone, Copy)]
enum Go {
    Yes,
    /// When the server has asked for it.
    WhenAsked,
    /// The server has replied without. Its reply is still to be read.
    NotAsked,
    /// Nobody wants the rest.
    No,
}

impl Upload {
    pub(super) fn new() -> Arc<Self> {
        let stage = Stage::Sending(Instant::now());
        let state = State { stage, error: None, go: Go::Yes, waiting: None };
        Arc::new(Self(Mutex::new(state)))
    }

    /// The clock of a body starts when a connection takes the request, not when the request was made.
    pub(crate) fn start(&self, now: Instant) {
        self.reach(Stage::Sending(now));
    }

    pub(crate) fn stage(&self) -> Stage {
        self.lock().stage
    }

    /// What the caller's own stream failed with, if it did.
    pub(crate) fn take_error(&self) -> Option<BoxError> {
        self.lock().error.take()
    }

    /// From now on the body waits to be asked for.
    pub(super) fn hold(&self) {
        self.lock().go = Go::WhenAsked;
    }

    pub(crate) fn is_held(&self) -> bool {
        matches!(self.lock().go, Go::WhenAsked)
    }

    /// The body may go, unless a reply came before. Whether it may.
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

    /// A reply has come. A body that was not asked for by then does not go.
    pub(crate) fn replied(&self) {
        let mut state = self.lock();
        if let Go::WhenAsked = state.go {
            state.go = Go::NotAsked;
        }
    }

    /// Nobody wants the rest of the body: its connection ends.
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

    /// The body has nothing yet.
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

/// Turns, and wakes who waits for that when the lock is released.
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
