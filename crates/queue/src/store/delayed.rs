//! Items that are not due, and the timer for the first of them.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::StoredItem;

pub(crate) type DueTimer = Pin<Box<Sleep>>;

/// Items that are not due, by the instant at which they are due and then by their arrival.
pub(crate) struct Delayed<T, K> {
    items: BTreeMap<(Instant, u64), StoredItem<T, K>>,
    arrivals: u64,
    /// Wakes a waiting task when the first item is due. There is a timer only while tasks wait. The waiter of that task
    /// has the same waker, so replacing the timer under the lock never drops the last waker of a task.
    timer: Option<DueTimer>,
    /// Whether a waiting task has set the timer for the first item and has not left since.
    timer_is_set: bool,
}

impl<T, K> Delayed<T, K> {
    pub(crate) fn new() -> Self {
        Self { items: BTreeMap::new(), arrivals: 0, timer: None, timer_is_set: false }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn needs_timer(&self) -> bool {
        !self.timer_is_set && !self.items.is_empty()
    }

    pub(crate) fn push(&mut self, due: Instant, item: StoredItem<T, K>) {
        if self.items.first_key_value().is_none_or(|(first, _)| due < first.0) {
            self.timer_is_set = false;
        }
        self.items.insert((due, self.arrivals), item);
        self.arrivals += 1;
    }

    /// Takes the first item, if it is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<StoredItem<T, K>> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Ready if the first item is due. Otherwise the task is woken when it is due. Only the last task that called this is
    /// woken.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((&(due, _), _)) = self.items.first_key_value() else { return Poll::Pending };
        // A new timer each time, because the old one may belong to a runtime that has ended.
        let timer = match &mut self.timer {
            Some(timer) if timer.deadline() == due => timer,
            timer => timer.insert(Box::pin(sleep_until(due))),
        };
        self.timer_is_set = true;
        // Unconstrained: this poll has paid for its unit of the budget already, and a timer without budget would call a
        // waker under the lock.
        Pin::new(&mut unconstrained(timer.as_mut())).poll(cx)
    }

    /// The task that has set the timer may be the one that leaves. The timer that is returned must be dropped after the
    /// lock is released.
    pub(crate) fn leave(&mut self) -> Option<DueTimer> {
        self.timer_is_set = false;
        self.timer.take()
    }

    /// All items, each with how often it has been leased.
    pub(crate) fn into_items(self) -> impl Iterator<Item = (T, u32)> {
        self.items.into_values().map(|taken| (taken.item, taken.deliveries))
    }
}
