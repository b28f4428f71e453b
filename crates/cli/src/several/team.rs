//! Reports to the other machines once a second, and follows what `outbound ctl` says to all.

use std::{sync::Arc, time::Duration};

use outbound_postgres::{Orders, PostgresBatch};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::work::Task;
use crate::{
    control::{Controlled, Limits},
    say,
};

/// The time between two reports.
const EVERY: Duration = Duration::from_secs(1);

/// A report that takes longer is given up. The next one says more.
const PATIENCE: Duration = Duration::from_secs(5);

/// This process among those that work on a batch. Dropping it ends the reports.
pub(super) struct Team {
    batch: Arc<PostgresBatch>,
    heard: Arc<Mutex<Orders>>,
    _task: Task,
}

impl Team {
    /// Reports for the first time and follows the orders that are there, before anything is sent; then goes on in a task.
    pub(super) async fn join(batch: PostgresBatch, controlled: Controlled) -> Self {
        let batch = Arc::new(batch);
        let heard = Arc::new(Mutex::new(Orders::default()));
        let first = Self::report(&batch, &controlled).await;
        if let Some(orders) = &first {
            // What was resumed before this process began is nothing to follow.
            heard.lock().resumes = orders.resumes;
            follow(&heard, orders, &controlled);
        }
        let mut is_new = first.is_none();
        let task = tokio::spawn({
            let (batch, heard) = (Arc::clone(&batch), Arc::clone(&heard));
            async move {
                let mut seconds = interval(EVERY);
                seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    seconds.tick().await;
                    if let Some(orders) = Self::report(&batch, &controlled).await {
                        if std::mem::take(&mut is_new) {
                            heard.lock().resumes = orders.resumes;
                        }
                        follow(&heard, &orders, &controlled);
                    }
                }
            }
        });
        Self { batch, heard, _task: Task(task) }
    }

    async fn report(batch: &PostgresBatch, controlled: &Controlled) -> Option<Orders> {
        let status = serde_json::to_string(&controlled.stands()).unwrap_or_default();
        timeout(PATIENCE, batch.report(&status)).await.ok()?.ok()
    }

    /// How many other machines work on it, as far as it is known.
    pub(super) fn others(&self) -> u64 {
        self.heard.lock().others
    }

    /// Says that this process works on it no more.
    pub(super) async fn leave(self) {
        drop(self._task);
        let _ = timeout(PATIENCE, self.batch.leave()).await;
    }
}

/// Does what is new in the orders.
fn follow(heard: &Mutex<Orders>, orders: &Orders, controlled: &Controlled) {
    let before = std::mem::replace(&mut *heard.lock(), orders.clone());
    if orders.paused && !before.paused {
        controlled.manager.pause();
    } else if (before.paused && !orders.paused) || orders.resumes > before.resumes {
        controlled.manager.resume();
    }
    if orders.limits != before.limits {
        let limits: Limits = serde_json::from_str(&orders.limits).unwrap_or_default();
        if limits != Limits::default()
            && let Err(error) = controlled.limit(limits)
        {
            say::line(format_args!("the new limits of the batch cannot be used here: {error}"));
        }
    }
    if orders.drain {
        controlled.interrupt.ask();
    }
}
