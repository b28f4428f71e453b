//! The best possible time, computed with all limits known.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use crate::{
    accounts::Accounts,
    ledger::{Entry, Ledger},
    quota::{Cost, Dimension},
};

/// The demand of a set of requests, attempts that failed included.
///
/// Fill it in for a workload that is planned, or take it from a run that was made with
/// [`Ledger::workload`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Attempts.
    pub requests: u64,
    /// Tokens of all prompts.
    pub input_tokens: u64,
    /// Tokens of all answers.
    pub output_tokens: u64,
    /// The most tokens that one attempt reserves, input and `max_tokens` together.
    pub largest: u64,
    /// The sum of the times of all attempts.
    pub work: Duration,
    /// The sum of the times of the attempts of one request, for the request where it is longest.
    pub longest: Duration,
}

impl Ledger {
    /// What the admitted sends of this ledger asked for, and how long they took.
    pub fn workload(&self) -> Workload {
        let mut workload = Workload::default();
        let mut by_request = BTreeMap::<_, Duration>::new();
        for (entry, estimate) in admitted(self) {
            workload.requests += 1;
            workload.input_tokens += entry.input_tokens;
            workload.output_tokens += entry.output_tokens;
            workload.largest = workload.largest.max(estimate.of(Dimension::Tokens));
            workload.work = workload.work.saturating_add(entry.took());
            *by_request.entry(entry.identity()).or_default() += entry.took();
        }
        workload.longest = by_request.into_values().max().unwrap_or_default();
        workload
    }
}

/// A lower bound of the time. Often it cannot be reached:
///
/// `max((N - b_r) / r, (K - b_k) / k, W / C, longest)`
///
/// with N requests and K tokens against buckets that hold b and refill at r and k, W of work done C at a time, and the
/// longest single request. Where there are several accounts, b, r and k are their sums. An oversized request may take a
/// bucket into debt, so b is at least the largest one.
pub(crate) fn floor(quotas: &Accounts, workload: &Workload, concurrency: Option<usize>) -> Duration {
    let limited = quotas.limits().into_iter().map(|(dimension, limit, capacity)| {
        let (amount, largest) = match dimension {
            Dimension::Requests => (workload.requests, 1),
            Dimension::Tokens => {
                (workload.input_tokens.saturating_add(workload.output_tokens), workload.largest)
            }
            Dimension::InputTokens => (workload.input_tokens, workload.largest),
            Dimension::OutputTokens => (workload.output_tokens, workload.largest),
        };
        let short = amount as f64 - capacity.max(largest as f64);
        if short <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(short * 60.0 / limit as f64).unwrap_or(Duration::MAX)
    });
    let shared = concurrency.map_or(Duration::ZERO, |concurrency| {
        workload.work / u32::try_from(concurrency.max(1)).unwrap_or(u32::MAX)
    });
    limited.chain([shared, workload.longest]).max().unwrap_or_default()
}

/// The time in which a client that knows everything serves the admitted sends of a ledger, in their order and at most so
/// many at once. Nothing is refused, and no moment is lost.
pub(crate) fn reference(mut quotas: Accounts, ledger: &Ledger, concurrency: Option<usize>) -> Duration {
    let concurrency = concurrency.unwrap_or(usize::MAX).max(1);
    let mut now = Duration::ZERO;
    let mut last = Duration::ZERO;
    // Sends under way: when each ends, and what is settled then.
    let mut running = BinaryHeap::<Reverse<(Duration, Duration, usize, Cost, Cost)>>::new();
    for (entry, estimate) in admitted(ledger) {
        // A send that was admitted has an account.
        let account = entry.account.unwrap_or(0);
        loop {
            while running.peek().is_some_and(|Reverse((ends, ..))| *ends <= now) {
                if let Some(Reverse((ends, taken, account, estimate, actual))) = running.pop() {
                    quotas.get(account).settle(ends, taken, estimate, actual);
                }
            }
            let next_end = running.peek().map(|Reverse((ends, ..))| *ends);
            if running.len() >= concurrency {
                now = next_end.unwrap_or(now);
                continue;
            }
            match quotas.get(account).admit(now, estimate) {
                Ok(()) => break,
                Err(over) => {
                    // A send that ends earlier may give tokens back, and limits may change.
                    let refilled = over.wait.map(|wait| now.saturating_add(wait));
                    let next =
                        [refilled, next_end, quotas.get(account).next_change()].into_iter().flatten().min();
                    let Some(next) = next else { return Duration::MAX };
                    now = next;
                }
            }
        }
        let ends = now.saturating_add(entry.took());
        last = last.max(ends);
        let actual = Cost { input: entry.input_tokens, output: entry.output_tokens };
        running.push(Reverse((ends, now, account, estimate, actual)));
    }
    last
}

fn admitted(ledger: &Ledger) -> impl Iterator<Item = (&Entry, Cost)> {
    ledger.entries().iter().filter_map(|entry| Some((entry, entry.estimate?)))
}
