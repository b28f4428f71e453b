use std::{
    sync::Arc,
    task::{Context, Wake, Waker},
};

use parking_lot::Mutex;

/// The tasks that wait for one transport: one that reads, one that writes.
///
/// A reader writes too (it answers pings), and a transport keeps one waker for each direction. So it is given this one,
/// which wakes both.
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
