//! The results of a pool, and the queue that they go to.

use std::collections::VecDeque;

use crate::Queue;

/// The queue for results, if there is one. The queue is closed when the last worker drops this.
pub(super) struct Results<R>(pub(super) Option<Queue<R>>);

/// The results of a worker that are not in the queue yet. On drop they are pushed without waiting for a free slot.
pub(super) struct Outbox<'a, R> {
    results: &'a Queue<R>,
    items: VecDeque<R>,
}

impl<R> Results<R> {
    pub(super) fn outbox(&self) -> Option<Outbox<'_, R>> {
        self.0.as_ref().map(|results| Outbox { results, items: VecDeque::new() })
    }
}

impl<R> Drop for Results<R> {
    fn drop(&mut self) {
        if let Some(results) = &self.0 {
            results.close();
        }
    }
}

impl<R> Outbox<'_, R> {
    /// Takes a result. From now on it is not lost.
    pub(super) fn put(&mut self, result: R) {
        self.items.push_back(result);
    }

    pub(super) async fn deliver(&mut self) {
        if self.results.push_many(&mut self.items).await.is_err() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for result in self.items.drain(..) {
            self.results.push_beyond_capacity(result);
        }
    }
}

impl<R> Drop for Outbox<'_, R> {
    fn drop(&mut self) {
        self.flush();
    }
}
