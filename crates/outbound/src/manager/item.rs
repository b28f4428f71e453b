//! The items of a stream that is handed on as it comes.

use std::sync::atomic::{AtomicBool, Ordering};

use outbound_client::Event;
use tokio::sync::mpsc;

/// One item of a stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Item {
    /// What it adds to the visible text of the answer; often empty.
    pub text: String,
    /// The event as the server sent it. `None` where the answer came in one piece.
    pub event: Option<Event>,
}

/// Where the task of a request puts the items that it reads. It never waits: what was sent is read and settled, however
/// slowly its reader reads. So up to the largest streamed reply (64 MiB) may wait here.
#[derive(Debug)]
pub(crate) struct ItemSender {
    items: mpsc::UnboundedSender<Item>,
    /// An item was handed on: from here on nothing begins anew.
    begun: AtomicBool,
}

impl ItemSender {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Item>) {
        let (items, receiver) = mpsc::unbounded_channel();
        (Self { items, begun: AtomicBool::new(false) }, receiver)
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whoever has dropped the stream cuts the task off, so nobody to read it is no news.
    pub(super) fn send(&self, item: Item) {
        self.begun.store(true, Ordering::Relaxed);
        drop(self.items.send(item));
    }
}
