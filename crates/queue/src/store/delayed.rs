//! Items whose time has not come.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::Taken;

pub(crate) type Alarm = Pin<Box<Sleep>>;

/// Items that nobody can take yet, by when they are due and then by when they came.
pub(crate) struct Delayed<T, K> {
    items: BTreeMap<(Instant, u64), Taken<T, K>>,
    arrivals: u64,
    /// Wakes the task that keeps watch, when the first is due. There is none unless somebody waits, whose place in line
    /// has the same waker: so an alarm that is replaced, under the lock, never drops the last of a task.
    alarm: Option<Alarm>,
    /// Whether one of those who wait keeps watch: it has set the alarm for the first item, and has not left since.
    watched: bool,
}

impl<T, K> Delayed<T, K> {
    pub(crate) fn new() -> Self {
        Self { items: BTreeMap::new(), arrivals: 0, alarm: None, watched: false }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_unwatched(&self) -> bool {
        !self.watched && !self.items.is_empty()
    }

    pub(crate) fn push(&mut self, due: Instant, item: Taken<T, K>) {
        if self.items.first_key_value().is_none_or(|(first, _)| due < first.0) {
            self.watched = false;
        }
        self.items.insert((due, self.arrivals), item);
        self.arrivals += 1;
    }

    /// The first item, if it is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Taken<T, K>> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Ready if the first item is due; otherwise the task is woken when it will be. Only the last one that asked is.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with a timer.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((&(due, _), _)) = self.items.first_key_value() else { return Poll::Pending };
        // A new one each time it changes, since the old one may be of a runtime that is no more.
        let alarm = match &mut self.alarm {
            Some(alarm) if alarm.deadline() == due => alarm,
            alarm => alarm.insert(Box::pin(sleep_until(due))),
        };
        self.watched = true;
        // The budget has been asked for this poll already; and it may not wake anybody from in here.
        Pin::new(&mut unconstrained(alarm.as_mut())).poll(cx)
    }

    /// One who may have kept watch leaves. What comes back is to be dropped when the lock is released.
    pub(crate) fn leave(&mut self) -> Option<Alarm> {
        self.watched = false;
        self.alarm.take()
    }

    /// All items, each with how often it has been leased.
    pub(crate) fn into_items(self) -> impl Iterator<Item = (T, u32)> {
        self.items.into_values().map(|taken| (taken.item, taken.deliveries))
    }
}
