//! A provider with its buckets, and a process that spends what it is granted.

use std::{collections::VecDeque, time::Duration};

use super::{Exchange, Grant, Row, Rule, SECOND, Scope};

/// A bucket of the provider's: how much of the burst is taken. It may never be more than there is.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) rules: Vec<Rule>,
    pub(super) taken: Vec<f64>,
    pub(super) spent: Vec<u64>,
}

impl Provider {
    pub(super) fn new(scope: &Scope) -> Self {
        let rules = scope.rules.clone();
        Self { taken: vec![0.0; rules.len()], spent: vec![0; rules.len()], rules }
    }

    pub(super) fn pass(&mut self, micros: u64) {
        for (rule, taken) in self.rules.iter().zip(&mut self.taken) {
            let rate = rule.amount as f64 / rule.per.as_micros() as f64;
            *taken = (*taken - rate * micros as f64).max(0.0);
        }
    }

    pub(super) fn spend(&mut self, cost: &[u64]) {
        for (rule, cost) in cost.iter().enumerate() {
            self.taken[rule] += *cost as f64;
            self.spent[rule] += cost;
        }
    }

    /// By how much more than the burst is taken, at most.
    pub(super) fn overrun(&self) -> f64 {
        let over = self.rules.iter().zip(&self.taken).map(|(rule, taken)| taken - rule.burst as f64);
        over.fold(f64::MIN, f64::max)
    }
}

/// A process with a queue of requests. It keeps the time to live, counted from before it asked.
#[derive(Debug)]
pub(super) struct Process {
    id: u64,
    seq: u64,
    pub(super) queue: VecDeque<(u64, Vec<u64>)>,
    pub(super) hand: Vec<u64>,
    hand_until: u64,
    used: Vec<u64>,
    /// An exchange whose reply was lost, and when it was asked first.
    asked: Option<(Exchange, u64)>,
    pub(super) next: u64,
    pub(super) exchanges: u64,
}

impl Process {
    pub(super) fn new(id: u64, rules: usize) -> Self {
        let zeros = vec![0; rules];
        Self {
            id,
            seq: 0,
            queue: VecDeque::new(),
            hand: zeros.clone(),
            hand_until: 0,
            used: zeros,
            asked: None,
            next: 0,
            exchanges: 0,
        }
    }

    pub(super) fn spend(&mut self, now: u64, provider: &mut Provider) {
        if now >= self.hand_until {
            return;
        }
        while let Some((_, cost)) = self.queue.front() {
            if cost.iter().zip(&self.hand).any(|(cost, hand)| cost > hand) {
                return;
            }
            for (rule, cost) in cost.iter().enumerate() {
                self.hand[rule] -= cost;
                self.used[rule] += cost;
            }
            provider.spend(cost);
            self.queue.pop_front();
        }
    }

    /// Asks where it is time. `lost` says that the reply does not arrive.
    pub(super) fn exchange(&mut self, now: u64, row: &mut Row, scope: &Scope, lost: bool) {
        if now < self.next {
            return;
        }
        let idle = self.queue.is_empty() && self.used.iter().all(|used| *used == 0) && self.asked.is_none();
        if idle && self.hand.iter().all(|hand| *hand == 0) {
            return;
        }
        let (exchange, since) = self.asked.take().unwrap_or_else(|| (self.ask(scope, now), now));
        self.exchanges += 1;
        let grant = row.exchange(scope, &exchange, now);
        if lost {
            self.next = now + SECOND;
            self.asked = Some((exchange, since));
            return;
        }
        self.take(&grant, since, now);
    }

    fn ask(&mut self, scope: &Scope, now: u64) -> Exchange {
        self.seq += 1;
        let rules = self.hand.len();
        let over = now >= self.hand_until || self.queue.is_empty();
        let back = if over { std::mem::replace(&mut self.hand, vec![0; rules]) } else { vec![0; rules] };
        let mut wanted = vec![0; rules];
        // Whole requests, as many as fit into a chunk with what is in hand: nothing is held for one that does not fit.
        for (_, cost) in &self.queue {
            let fits = (0..rules)
                .all(|rule| wanted[rule] + cost[rule] <= self.hand[rule].max(scope.rules[rule].chunk()));
            if !fits && wanted[0] > 0 {
                break;
            }
            (0..rules).for_each(|rule| wanted[rule] += cost[rule]);
        }
        let lacks = |needed: &[u64]| -> Vec<u64> {
            needed.iter().zip(&self.hand).map(|(needed, hand)| needed.saturating_sub(*hand)).collect()
        };
        let first = self.queue.front();
        let exchange = Exchange::new(self.id, self.seq)
            .wanted(lacks(&wanted))
            .least(first.map_or_else(|| vec![0; rules], |(_, cost)| lacks(cost)))
            .oldest_wait(Duration::from_micros(first.map_or(0, |(since, _)| now - since)))
            .used(std::mem::replace(&mut self.used, vec![0; rules]));
        exchange.returned(back)
    }

    fn take(&mut self, grant: &Grant, since: u64, now: u64) {
        for (hand, granted) in self.hand.iter_mut().zip(&grant.granted) {
            *hand += granted;
        }
        self.hand_until = self.hand_until.max(since + grant.ttl.as_micros() as u64);
        self.next = now + grant.next_poll.as_micros() as u64;
    }
}
