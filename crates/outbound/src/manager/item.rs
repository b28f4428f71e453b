//! The items of a streamed reply.

use std::sync::atomic::{AtomicBool, Ordering};

use outbound_provider::{Delta, Usage};
use tokio::sync::mpsc;

/// One item of a stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Item {
    /// What the item adds to the answer: text, reasoning, tool calls, the finish reason. Often empty.
    pub delta: Delta,
    /// The tokens used so far, if the item says so.
    pub usage: Option<Usage>,
    /// The data of the event as the server sent it. If the answer came in one piece, this is the body.
    pub data: String,
}

impl Item {
    /// What the item adds to the visible text of the answer. Often empty.
    pub fn text(&self) -> &str {
        &self.delta.text
    }
}

/// Where the task of a request sends the items that it reads. Sending never waits, so a slow reader delays no reply. At
/// most one streamed reply (64 MiB) is kept here.
#[derive(Debug)]
pub(crate) struct ItemSender {
    items: mpsc::UnboundedSender<Item>,
    /// An item was sent. From then on the answer cannot start again.
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

    /// The receiver is gone when the caller has dropped the stream. Then the task is aborted too, so the error is
    /// ignored.
    pub(super) fn send(&self, item: Item) {
        self.delivered.store(true, Ordering::Relaxed);
        drop(self.items.send(item));
    }
}
