//! How fast it could have been: the time of a client that knows the quota, and the pace that there was.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use super::judge::{Item, Send};

/// What the provider grants: an amount a minute in each of two dimensions, and one second's worth at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

impl Quota {
    pub(crate) fn requests_a_second(&self) -> f64 {
        self.requests as f64 / 60.0
    }
}

/// A continuous bucket of one second's worth. What is larger than the bucket waits until it is full, and leaves a debt.
struct Bucket {
    rate: f64,
    level: f64,
    at: f64,
}

impl Bucket {
    fn new(a_minute: u64) -> Self {
        let rate = a_minute as f64 / 60.0;
        Self { rate, level: rate, at: 0.0 }
    }

    /// The first moment from `now` on at which there is so much.
    fn when(&self, now: f64, amount: f64) -> f64 {
        let level = (self.level + (now - self.at) * self.rate).min(self.rate);
        now + (amount.min(self.rate) - level).max(0.0) / self.rate
    }

    fn take(&mut self, now: f64, amount: f64) {
        self.level = (self.level + (now - self.at) * self.rate).min(self.rate) - amount;
        self.at = now;
    }
}

/// The seconds in which the requests of a ledger are answered at best: in their order, each with the attempts that it needed
/// until its first answer, at most so many at once, and with nothing refused.
pub(crate) fn best(items: &[Item], sends: &[Send], quota: Quota, at_once: usize) -> f64 {
    let input: BTreeMap<&str, u64> =
        sends.iter().map(|send| (send.hash.as_str(), send.input_tokens)).collect();
    let costs: BTreeMap<&str, f64> = items
        .iter()
        .map(|item| {
            let prompt = input.get(item.hash.as_str()).copied().unwrap_or(0);
            (item.hash.as_str(), (prompt + item.max_tokens) as f64)
        })
        .collect();
    let mut buckets = (Bucket::new(quota.requests), Bucket::new(quota.tokens));
    let mut answered = BTreeSet::new();
    // Whole microseconds, which have an order.
    let mut running = BinaryHeap::new();
    let (mut now, mut last) = (0.0_f64, 0.0_f64);
    for send in sends.iter().filter(|send| !send.is_over_quota()) {
        if answered.contains(send.hash.as_str()) {
            continue;
        }
        if send.is_answered() {
            answered.insert(send.hash.as_str());
        }
        if running.len() >= at_once
            && let Some(Reverse(ends)) = running.pop()
        {
            now = now.max(ends as f64 / 1e6);
        }
        let cost = costs.get(send.hash.as_str()).copied().unwrap_or(0.0);
        now = buckets.1.when(buckets.0.when(now, 1.0), cost);
        buckets.0.take(now, 1.0);
        buckets.1.take(now, cost);
        let ends = now + (send.ended - send.at).max(0.0);
        last = last.max(ends);
        running.push(Reverse((ends * 1e6) as u64));
    }
    last
}

/// Answers a second in each span of so many seconds that begins between two times: the lowest.
pub(crate) fn lowest_pace(sends: &[Send], from: f64, to: f64, span: f64) -> f64 {
    let mut lowest = f64::INFINITY;
    let mut begin = from;
    while begin + span <= to {
        lowest = lowest.min(pace(sends, begin, begin + span));
        begin += span / 4.0;
    }
    lowest
}

/// Answers a second between two times.
pub(crate) fn pace(sends: &[Send], from: f64, to: f64) -> f64 {
    let answered = sends.iter().filter(|send| send.is_answered() && (from..to).contains(&send.ended));
    answered.count() as f64 / (to - from)
}

/// The most requests that were received in any span of so many seconds.
pub(crate) fn most_in(sends: &[Send], span: f64) -> usize {
    let (mut first, mut most) = (0, 0);
    for (number, send) in sends.iter().enumerate() {
        while sends[first].at < send.at - span {
            first += 1;
        }
        most = most.max(number + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends(count: usize, took: f64, outcome: &str) -> (Vec<Item>, Vec<Send>) {
        let item = |n: usize| Item { id: n.to_string(), hash: n.to_string(), max_tokens: 100 };
        let send = |n: usize| Send {
            at: n as f64,
            ended: n as f64 + took,
            hash: n.to_string(),
            key: String::new(),
            outcome: outcome.to_owned(),
            input_tokens: 100,
            billed: true,
        };
        ((0..count).map(item).collect(), (0..count).map(send).collect())
    }

    #[test]
    fn the_best_time_is_that_of_the_scarcer_dimension() {
        let (items, answered) = sends(110, 1.0, "answered");
        let wide = Quota { requests: 600, tokens: 60_000_000 };
        // 10 at once, then 10 a second, and a second for the last.
        assert!((best(&items, &answered, wide, 999) - 11.0).abs() < 0.01);
        // 20 tokens' worth of requests at once, then 5 a second.
        let narrow = Quota { requests: 6_000, tokens: 60_000 };
        assert!((best(&items, &answered, narrow, 999) - 22.0).abs() < 0.01);
        // One at a time.
        assert!((best(&items, &answered, wide, 1) - 110.0).abs() < 0.01);
    }

    #[test]
    fn what_was_refused_or_sent_after_the_answer_is_not_needed() {
        let quota = Quota { requests: 600, tokens: 60_000_000 };
        let (items, mut all) = sends(50, 1.0, "answered");
        let time = best(&items, &all, quota, 999);
        all.extend(sends(50, 1.0, "over quota of requests").1);
        all.extend(sends(50, 1.0, "answered").1);
        assert!((best(&items, &all, quota, 999) - time).abs() < 1e-9);
        // A send that failed before the answer is.
        all.splice(0..0, sends(50, 1.0, "broken").1);
        assert!(best(&items, &all, quota, 999) > time + 4.9);
    }

    #[test]
    fn a_pause_is_the_lowest_pace() {
        let (_, mut all) = sends(100, 0.5, "answered");
        assert!((lowest_pace(&all, 10.0, 90.0, 10.0) - 1.0).abs() < 0.01);
        all.retain(|send| !(40.0..50.0).contains(&send.at));
        assert!(lowest_pace(&all, 10.0, 90.0, 10.0) < 0.01);
        assert_eq!(most_in(&all, 9.5), 10);
    }
}
