//! What a holder does: it asks, and spends what it is granted.

use std::{collections::VecDeque, time::Duration};

use rand::RngExt;

use super::{Exchange, Habit, Holder, SECOND, World};

impl World {
    pub(super) fn holder(&mut self) -> Holder {
        self.names += 1;
        let zeros = vec![0; self.scope.rules.len()];
        let habit =
            [Habit::AtOnce, Habit::AtOnce, Habit::Late, Habit::Between][self.random.random_range(0..4)];
        Holder {
            id: self.names,
            seq: 0,
            habit,
            pace: if self.faults.drift { self.random.random_range(0.8..1.2) } else { 1.0 },
            queue: VecDeque::new(),
            hand: zeros.clone(),
            hand_until: 0,
            used: zeros,
            asked: None,
            poll_at: self.now + self.random.random_range(0..SECOND),
            spend_at: u64::MAX,
            lacks_since: None,
        }
    }

    pub(super) fn spend(&mut self, index: usize) {
        let holder = &mut self.holders[index];
        holder.spend_at = u64::MAX;
        if self.now >= holder.hand_until {
            return;
        }
        while let Some((_, cost)) = holder.queue.front() {
            if cost.iter().zip(&holder.hand).any(|(cost, hand)| cost > hand) {
                return;
            }
            for (rule, cost) in cost.iter().enumerate() {
                holder.hand[rule] -= cost;
                holder.used[rule] += cost;
            }
            self.provider.spend(cost);
            holder.queue.pop_front();
        }
    }

    fn ask(&mut self, index: usize) -> Exchange {
        let rules = self.scope.rules.len();
        if self.holders[index].queue.is_empty() {
            for _ in 0..self.random.random_range(1..60) {
                let large = self.random.random_ratio(1, 30);
                let cost = |rule: usize| {
                    let most = if large { self.largest[rule] } else { self.largest[rule].div_ceil(20) };
                    self.random.random_range(1..=most)
                };
                let cost = (0..rules).map(cost).collect();
                self.holders[index].queue.push_back((self.now, cost));
            }
        }
        let is_over = self.now >= self.holders[index].hand_until || self.random.random_ratio(1, 20);
        let pauses = self.fault(self.faults.pauses, 50);
        let pause = self.random.random_range(0..20 * SECOND);
        let holder = &mut self.holders[index];
        holder.seq += 1;
        let mut exchange = Exchange::new(holder.id, holder.seq);
        if is_over {
            exchange = exchange.returned(std::mem::replace(&mut holder.hand, vec![0; rules]));
        }
        let mut wanted = vec![0; rules];
        for (_, cost) in &holder.queue {
            let chunk = |rule: usize| self.scope.rules[rule].chunk();
            if wanted[0] > 0
                && (0..rules).any(|rule| wanted[rule] + cost[rule] > holder.hand[rule].max(chunk(rule)))
            {
                break;
            }
            (0..rules).for_each(|rule| wanted[rule] += cost[rule]);
        }
        let lacks = |needed: &[u64]| -> Vec<u64> {
            needed.iter().zip(&holder.hand).map(|(needed, hand)| needed.saturating_sub(*hand)).collect()
        };
        if let Some((since, cost)) = holder.queue.front() {
            let wait = Duration::from_micros(self.now - since);
            exchange = exchange.wanted(lacks(&wanted)).least(lacks(cost)).oldest_wait(wait);
        }
        if pauses {
            exchange = exchange.pause(Duration::from_micros(pause));
        }
        exchange.used(std::mem::replace(&mut holder.used, vec![0; rules]))
    }

    pub(super) fn exchange(&mut self, index: usize) {
        let asked = self.holders[index].asked.take();
        let (exchange, since) = asked.unwrap_or_else(|| {
            // It was on its way for some time.
            let way = if self.faults.replies { self.random.random_range(0..2 * SECOND) } else { 0 };
            (self.ask(index), self.now.saturating_sub(way))
        });
        let arrives = !self.fault(self.faults.replies, 15);
        let is_answered = arrives && !self.fault(self.faults.replies, 15);
        let known = self.row.holders.get(&exchange.holder);
        let before = known.map_or(0, |holder| holder.seq);
        // What counts as returned: of what is granted and neither spent nor forgotten.
        let outstanding =
            known.map_or_else(|| vec![0; exchange.used.len()], |holder| holder.outstanding.clone());
        let clock = self.clock();
        let grant = arrives.then(|| self.row.exchange(&self.scope, &exchange, clock));
        if let Some(grant) = &grant {
            if exchange.seq > before {
                self.copy.1.iter_mut().zip(&grant.granted).for_each(|(sum, granted)| *sum += granted);
                self.granted.spend(&grant.granted);
                for (rule, outstanding) in outstanding.iter().enumerate() {
                    let used = exchange.used.get(rule).copied().unwrap_or(0);
                    let back = exchange.returned.get(rule).copied().unwrap_or(0);
                    let back = back.min(outstanding.saturating_sub(used)) as f64;
                    self.granted.taken[rule] = (self.granted.taken[rule] - back).max(0.0);
                }
                let some = grant.granted.iter().any(|granted| *granted > 0);
                assert!(grant.pause.is_none() || !some, "{}: granted in a pause", self.seed);
                let enough =
                    grant.granted.iter().zip(&exchange.least).all(|(granted, least)| granted >= least);
                assert!(!some || enough, "{}: less than the first request needs", self.seed);
            }
            assert!(grant.next_poll >= Duration::from_millis(100), "{}: too often", self.seed);
        }
        let between = self.random.random_range(0.0..1.0);
        let holder = &mut self.holders[index];
        let lacks = exchange.least.iter().any(|least| *least > 0);
        let Some(grant) = grant.filter(|_| is_answered) else {
            // Whether it waits is not known before the reply.
            holder.poll_at = self.now + SECOND;
            holder.asked = Some((exchange, since));
            holder.lacks_since = None;
            return;
        };
        let of_own = |time: Duration| (time.as_micros() as f64 / holder.pace) as u64;
        let some = grant.granted.iter().any(|granted| *granted > 0);
        holder.lacks_since = if some || !lacks { None } else { holder.lacks_since.or(Some(self.now)) };
        holder.hand.iter_mut().zip(&grant.granted).for_each(|(hand, granted)| *hand += granted);
        holder.hand_until = holder.hand_until.max(since + of_own(grant.ttl));
        holder.poll_at = self.now + of_own(grant.next_poll).max(SECOND / 10);
        let left = holder.hand_until.saturating_sub(self.now);
        holder.spend_at = match holder.habit {
            Habit::AtOnce => self.now,
            Habit::Late => self.now + left.saturating_sub(1),
            Habit::Between => self.now + (left as f64 * between) as u64,
        };
        for (rule, held) in self.held.iter_mut().enumerate() {
            *held = (*held).max(self.holders.iter().map(|holder| holder.hand[rule]).sum());
        }
    }
}
