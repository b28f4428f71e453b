//! Reports to the other machines once a second, and follows what `outbound ctl` says to all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use outbound_postgres::{Orders, PostgresBatch};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{
    budget::Budget,
    store::{Reach, failed},
    work::Task,
};
use crate::{
    control::{Controlled, Limits},
    exit::Stop,
    say,
};

/// The time between two reports.
const EVERY: Duration = Duration::from_secs(1);

/// A report that takes longer is given up. The next one says more.
const PATIENCE: Duration = Duration::from_secs(5);

/// This process among those that work on a batch. Dropping it ends the reports.
pub(super) struct Team {
    shared: Arc<Shared>,
    _task: Task,
}

struct Shared {
    batch: PostgresBatch,
    controlled: Controlled,
    budget: Arc<Budget>,
    heard: Mutex<Orders>,
    had_others: AtomicBool,
}

impl Team {
    /// Reports for the first time and follows the orders that are there, before anything is sent; then goes on in a task.
    ///
    /// # Errors
    ///
    /// The database refuses, or the batch has a budget that this process cannot keep.
    pub(super) async fn join(
        batch: PostgresBatch,
        controlled: Controlled,
        budget: &Arc<Budget>,
        reach: &Reach,
    ) -> Result<Self, Stop> {
        let heard = Mutex::default();
        let shared = Shared {
            batch,
            controlled,
            budget: Arc::clone(budget),
            heard,
            had_others: AtomicBool::new(false),
        };
        let orders =
            reach.during(shared.batch.report(&shared.status())).await.map_err(|error| failed(&error))?;
        if limits(&orders).map_err(Stop::Usage)?.budget.is_some() && !budget.has_prices() {
            let why = "the batch has a budget, so this run needs to know what a request costs: give --prices";
            return Err(Stop::Usage(String::from(why)));
        }
        // What was resumed before this process began is nothing to follow.
        shared.heard.lock().resumes = orders.resumes;
        shared.follow(&orders);
        reach.during(budget.fill(&shared.batch, &orders)).await.map_err(|error| failed(&error))?;
        let shared = Arc::new(shared);
        let task = tokio::spawn(Arc::clone(&shared).run());
        Ok(Self { shared, _task: Task(task) })
    }

    /// How many other machines work on it, as far as it is known.
    pub(super) fn others(&self) -> u64 {
        self.shared.heard.lock().others
    }

    /// Whether another machine worked on it at the same time.
    pub(super) fn had_others(&self) -> bool {
        self.shared.had_others.load(Ordering::Relaxed)
    }

    /// Says that this process works on it no more. Nothing may be in flight.
    pub(super) async fn leave(self) {
        drop(self._task);
        let unspent = self.shared.budget.unspent();
        let _ = timeout(PATIENCE, self.shared.batch.leave(unspent)).await;
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        let mut seconds = interval(EVERY);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = seconds.tick() => {}
                () = self.budget.asked() => {}
            }
            let report = timeout(PATIENCE, self.batch.report(&self.status())).await;
            let Ok(Ok(orders)) = report else {
                // Who asks for a part of the budget asks again at once.
                sleep(EVERY).await;
                continue;
            };
            self.follow(&orders);
            // If it fails, the next second tries again.
            let _ = self.budget.fill(&self.batch, &orders).await;
        }
    }

    fn status(&self) -> String {
        serde_json::to_string(&self.controlled.stands()).unwrap_or_default()
    }

    /// Does what is new in the orders.
    fn follow(&self, orders: &Orders) {
        let Controlled { manager, interrupt, .. } = &self.controlled;
        let before = std::mem::replace(&mut *self.heard.lock(), orders.clone());
        self.had_others.fetch_or(orders.others > 0, Ordering::Relaxed);
        if orders.paused && !before.paused {
            manager.pause();
        } else if (before.paused && !orders.paused) || orders.resumes > before.resumes {
            manager.resume();
        }
        if orders.limits != before.limits {
            let all = limits(orders).unwrap_or_else(|why| {
                say::line(format_args!("{why}: this run ends"));
                interrupt.ask();
                Limits::default()
            });
            // The budget is taken in parts.
            let budget = all.budget;
            let limits = Limits { budget: None, ..all };
            if limits != Limits::default()
                && let Err(error) = self.controlled.limit(limits)
            {
                say::line(format_args!("the new limits of the batch cannot be used here: {error}"));
            }
            if budget.is_some() && !self.budget.has_prices() {
                say::line("the batch has a budget now, and this run has no --prices: it ends");
                interrupt.ask();
            }
        }
        if orders.drain {
            interrupt.ask();
        }
    }
}

/// The limits that all follow. Limits that this version cannot read are no limits to ignore: one of them may be a budget.
pub(super) fn limits(orders: &Orders) -> Result<Limits, String> {
    if orders.limits.is_empty() {
        return Ok(Limits::default());
    }
    serde_json::from_str(&orders.limits).map_err(|error| {
        format!(
            "the batch has limits that this version cannot read ({error}); use the version that set them, or set them again with \
             `outbound ctl .. limits`"
        )
    })
}
