//! Random histories with faults: what is spent beside what is promised, and how long one waits.
//!
//! `OUTBOUND_TEST_HISTORIES=10000 cargo test -p outbound --lib quota_store::tests::histories` does ten thousand.

use std::{collections::VecDeque, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{Exchange, Found, Provider, Row, Rule, SECOND, START, Scope, Stage, read, write};

/// Faults that one history has.
#[derive(Debug, Clone, Copy)]
struct Faults {
    replies: bool,
    deaths: bool,
    stalls: bool,
    drift: bool,
    pauses: bool,
    /// These let more through than the rules say, and how much more is bounded.
    steps: bool,
    writes: bool,
    rows: bool,
    rules: bool,
}

/// When a holder spends what it has.
#[derive(Debug, Clone, Copy)]
enum Habit {
    AtOnce,
    /// At the last moment, when all else has filled up again.
    Late,
    Between,
}

#[derive(Debug)]
struct Holder {
    id: u64,
    seq: u64,
    habit: Habit,
    /// How much faster its clock is than that of the world.
    pace: f64,
    queue: VecDeque<(u64, Vec<u64>)>,
    hand: Vec<u64>,
    hand_until: u64,
    used: Vec<u64>,
    /// An exchange without a reply, and when it was asked first.
    asked: Option<(Exchange, u64)>,
    poll_at: u64,
    spend_at: u64,
    /// Since when it is known to lack something.
    lacks_since: Option<u64>,
}

/// A world with one quota.
struct World {
    seed: u64,
    random: StdRng,
    faults: Faults,
    scope: Scope,
    row: Row,
    /// A copy of the row, and what was granted since.
    copy: (Row, Vec<u64>),
    provider: Provider,
    /// The same bucket for what is granted, returns aside.
    granted: Provider,
    /// How much more than the rules allow may be granted, because of the faults up to now.
    beyond: Vec<f64>,
    /// The most that all had in hand at one moment.
    held: Vec<u64>,
    holders: Vec<Holder>,
    names: u64,
    now: u64,
    /// How far the clock of the store is ahead.
    ahead: i64,
    largest: Vec<u64>,
    probing_since: Option<u64>,
    longest_wait: f64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut some = |part| random.random_ratio(1, part);
        let faults = Faults {
            replies: some(2),
            deaths: some(2),
            stalls: some(2),
            drift: some(2),
            pauses: some(3),
            steps: some(6),
            writes: some(6),
            rows: some(6),
            rules: some(6),
        };
        let mut scope = Scope::new("one");
        for _ in 0..random.random_range(1..=3) {
            let per = Duration::from_secs(random.random_range(1..=60));
            let amount = random.random_range(5..=5_000);
            scope = scope.rule(Rule::rate(amount, per).burst(random.random_range(1..=2 * amount)));
        }
        let row = Row::new(&scope, 1, START);
        let rules = scope.rules.len();
        let largest = scope.rules.iter().map(|rule| rule.burst.min(3 * rule.chunk())).collect();
        let count = random.random_range(1..=8);
        let mut world = Self {
            seed,
            faults,
            copy: (row.clone(), vec![0; rules]),
            row,
            provider: Provider::new(&scope),
            granted: Provider::new(&scope),
            beyond: vec![0.0; rules],
            held: vec![0; rules],
            holders: Vec::new(),
            names: 0,
            now: START,
            ahead: 0,
            largest,
            probing_since: None,
            longest_wait: 0.0,
            scope,
            random,
        };
        world.holders = (0..count).map(|_| world.holder()).collect();
        world
    }

    fn holder(&mut self) -> Holder {
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

    fn fault(&mut self, is_on: bool, part: u32) -> bool {
        is_on && self.random.random_ratio(1, part)
    }

    fn rate(&self, rule: usize) -> f64 {
        let limit = &self.scope.rules[rule];
        limit.amount as f64 / limit.per.as_secs_f64()
    }

    /// Nobody waits longer, once the pauses are over: twice the time that brings each holder the largest that one may get, twice
    /// that of a burst for debts and for what is kept for the dead, and 15 s. Where the clock of the store was set back, the
    /// dead are waited for as long as they could have been told to stay away, and so is the next time to come.
    fn patience(&self) -> f64 {
        let time = |rule: usize| {
            let turns =
                2 * self.holders.len() as u64 * self.largest[rule].max(self.scope.rules[rule].chunk());
            (turns + 2 * self.scope.rules[rule].burst) as f64 / self.rate(rule)
        };
        (0..self.scope.rules.len()).map(time).fold(0.0, f64::max)
            + if self.faults.steps { 120.0 } else { 15.0 }
    }

    fn run(&mut self) {
        let end = START + ((4.0 * self.patience()).min(1_200.0) * 1e6) as u64;
        for _ in 0..2_000 {
            let at = |holder: &Holder| holder.poll_at.min(holder.spend_at);
            let Some(next) = (0..self.holders.len()).min_by_key(|index| at(&self.holders[*index])) else {
                return;
            };
            let then = at(&self.holders[next]).max(self.now);
            if then > end {
                return;
            }
            self.provider.pass(then - self.now);
            self.granted.pass(then - self.now);
            self.now = then;
            self.disturb(next);
            if self.holders[next].spend_at <= self.now {
                self.spend(next);
            }
            if self.holders[next].poll_at <= self.now {
                self.exchange(next);
            }
            self.check(next);
        }
    }

    fn check(&mut self, index: usize) {
        for (rule, limit) in self.scope.rules.iter().enumerate() {
            let most = limit.burst as f64 + self.beyond[rule] + 1e-3;
            let (granted, spent) = (self.granted.taken[rule], self.provider.taken[rule]);
            let at = (self.seed, rule, self.now, self.faults);
            assert!(granted <= most, "{at:?}: {granted} granted, {most} may be");
            let most = most + self.held[rule] as f64;
            assert!(spent <= most, "{at:?}: {spent} spent, {most} may be");
        }
        if self.now.is_multiple_of(37) {
            let text = write(&self.row, "a clock", "a\nscope");
            assert_eq!(read(&text, "a clock", "a\nscope"), Found::Row(self.row.clone()));
        }
        let patience = self.patience();
        match self.row.stage {
            Stage::Open | Stage::Half { .. } => self.probing_since = None,
            // Waits begin anew with the end of a pause.
            stage => {
                let begun = matches!(stage, Stage::Probing { .. }).then_some(self.now);
                self.probing_since = self.probing_since.filter(|_| begun.is_some()).or(begun);
                let probes = self.probing_since.map_or(0.0, |since| (self.now - since) as f64 / 1e6);
                assert!(probes <= patience + 90.0, "{}: probes for {probes} s, {:?}", self.seed, self.faults);
                self.wait_anew();
            }
        }
        let waits = self.holders[index].lacks_since.map_or(0.0, |since| (self.now - since) as f64 / 1e6);
        self.longest_wait = self.longest_wait.max(waits / patience);
        assert!(waits <= patience, "{}: {waits} s of at most {patience}, {:?}", self.seed, self.faults);
    }

    fn wait_anew(&mut self) {
        for holder in &mut self.holders {
            holder.lacks_since = holder.lacks_since.map(|_| self.now);
        }
    }

    /// What goes wrong at this moment.
    fn disturb(&mut self, index: usize) {
        let rules = self.scope.rules.len();
        if self.fault(self.faults.deaths, 60) {
            self.holders[index] = self.holder();
        }
        if self.fault(self.faults.stalls, 40) {
            let until = self.now + self.random.random_range(0..30 * SECOND);
            let holder = &mut self.holders[index];
            holder.poll_at = holder.poll_at.max(until);
            holder.spend_at = if holder.spend_at == u64::MAX { u64::MAX } else { holder.spend_at.max(until) };
            holder.lacks_since = None;
        }
        if self.fault(self.faults.steps, 100) {
            let step: i64 = self.random.random_range(-3_600..3_600);
            self.ahead += step * SECOND as i64;
            for rule in 0..rules {
                let ahead = self.rate(rule) * step.max(0) as f64;
                self.beyond[rule] += ahead.min(self.scope.rules[rule].burst as f64);
            }
            self.wait_anew();
        }
        if self.fault(self.faults.writes, 20) {
            self.copy = (self.row.clone(), vec![0; rules]);
        }
        if self.fault(self.faults.writes, 100) {
            self.row = self.copy.0.clone();
            for (beyond, lost) in self.beyond.iter_mut().zip(&self.copy.1) {
                *beyond += *lost as f64;
            }
            self.wait_anew();
        }
        if self.fault(self.faults.rows, 100) {
            let generation = self.row.generation + 1;
            self.row = Row::new(&self.scope, generation, self.clock());
            self.copy = (self.row.clone(), vec![0; rules]);
            self.wait_anew();
        }
        if self.fault(self.faults.rules, 100) {
            let rule = self.random.random_range(0..rules);
            let (rate, old) = (self.rate(rule), self.scope.rules[rule]);
            // Not below what a request may need.
            let burst = self.random.random_range(self.largest[rule]..=2 * old.burst);
            let amount = self.random.random_range(old.amount / 2 + 1..=2 * old.amount);
            self.scope.rules[rule] = Rule { amount, burst, ..old };
            let unseen = self.clock().saturating_sub(self.row.at) as f64 / 1e6;
            self.beyond[rule] +=
                (self.rate(rule) - rate).max(0.0) * unseen + old.burst.saturating_sub(burst) as f64;
            self.provider.rules.clone_from(&self.scope.rules);
            self.granted.rules.clone_from(&self.scope.rules);
            self.copy = (self.row.clone(), vec![0; rules]);
            self.wait_anew();
        }
    }

    fn clock(&self) -> u64 {
        (self.now + 10_000_000 * SECOND).saturating_add_signed(self.ahead)
    }

    fn spend(&mut self, index: usize) {
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

    fn exchange(&mut self, index: usize) {
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

#[test]
fn what_is_spent_stays_within_the_bound_and_nobody_starves() {
    let count =
        std::env::var("OUTBOUND_TEST_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let mut longest = (0.0, 0);
    let mut spent = 0.0;
    for seed in 0..count {
        let mut world = World::new(seed);
        world.run();
        if world.longest_wait > longest.0 {
            longest = (world.longest_wait, seed);
        }
        spent += world.provider.spent[0] as f64 / world.scope.rules[0].burst as f64;
    }
    println!("{count} histories, {spent:.0} bursts spent, the longest wait was {longest:?} of the bound");
    assert!(spent >= count as f64, "{spent} bursts are too few to show anything");
}
