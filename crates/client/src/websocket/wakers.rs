//! Wakes both the reading and the writing task of a WebSocket.

use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
};

use parking_lot::Mutex;

/// The tasks that wait for one transport: a reading one and a writing one.
///
/// The reading task writes too, because it answers pings. But a transport keeps only one waker for each direction. So
/// the transport gets this waker, which wakes both tasks.
#[derive(Default)]
pub(super) struct Wakers {
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
}

impl Wakers {
    pub(super) fn register_reader(&self, cx: &Context<'_>) {
        register(&self.reader, cx);
    }

    pub(super) fn register_writer(&self, cx: &Context<'_>) {
        register(&self.writer, cx);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        for side in [&self.reader, &self.writer] {
            let waker = side.lock().clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

fn register(side: &Mutex<Option<Waker>>, cx: &Context<'_>) {
    let mut waker = side.lock();
    match &mut *waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}
