//! The items of a stream that is handed on as it comes.

use std::sync::atomic::{AtomicBool, Ordering};

use outbound_provider::{Delta, Usage};
use tokio::sync::mpsc;

/// One item of a stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Item {
    /// What it adds to the answer: text, reasoning, calls of tools, the reason of the end. Often nothing.
    pub delta: Delta,
    /// The tokens taken so far, where it says so.
    pub usage: Option<Usage>,
    /// The data of the event as the server sent it; the body, where the answer came in one piece.
    pub data: String,
}

impl Item {
    /// What it adds to the visible text of the answer; often nothing.
    pub fn text(&self) -> &str {
        &self.delta.text
    }
}

/// Where the task of a request puts the items that it reads. It never waits: what was sent is read and settled, however
/// slowly its reader reads. So up to the largest streamed reply (64 MiB) may wait here.
#[derive(Debug)]
pub(crate) struct ItemSender {
    items: mpsc::UnboundedSender<Item>,
    /// An item was handed on: from here on nothing begins anew.
    delivered: AtomicBool,
}

impl ItemSender {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Item>) {
        let (items, receiver) = mpsc::unbounded_channel();
        (Self { items, delivered: AtomicBool::new(false) }, receiver)
    }

    pub(crate) fn has_delivered(&self) -> bool {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Whoever has dropped the stream cuts the task off, so nobody to read it is no news.
    pub(super) fn send(&self, item: Item) {
        self.delivered.store(true, Ordering::Relaxed);
        drop(self.items.send(item));
    }
}
