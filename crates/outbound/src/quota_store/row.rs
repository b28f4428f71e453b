//! What a store knows of one scope, and how an exchange changes it. Pure: the time is an argument, and nothing waits.

use std::{collections::BTreeMap, time::Duration};

use super::{Exchange, Grant, Rule, Scope, types::LARGEST};

/// Levels are counted in millionths, so that nothing of the rate is lost between two exchanges.
const UNIT: i128 = 1_000_000;

/// The shortest time between two exchanges of one holder.
const SHORTEST_POLL: u64 = 100_000;

/// The longest.
const LONGEST_POLL: u64 = 90_000_000;

/// The longest and the shortest time to live of a grant.
const LONGEST_TTL: u64 = 60_000_000;
const SHORTEST_TTL: u64 = 1_000_000;

/// The time between two exchanges of a holder that lacks nothing, or that waits for the probe of another.
const IDLE_POLL: u64 = 1_000_000;

/// A holder that comes so much later than it was to come may have died.
const LATE: u64 = 1_000_000;

/// How long chunks are half as large after a pause.
const HALF: u64 = 5_000_000;

/// The longest pause that is believed.
const LONGEST_PAUSE: u64 = 3_600_000_000;

/// How much longer a store remembers a holder than it may spend its grants, or than it needs for its next exchanges, in per cent.
const KEPT_LONGER: u64 = 50;

/// What a store knows of one scope. Times are microseconds on the store's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Another one where what was known is lost.
    pub generation: u64,
    /// When it was changed last.
    pub at: u64,
    /// The limits.
    pub rules: Vec<Rule>,
    /// What can be granted now, of each rule, in millionths. Below 0 where more was spent than was granted.
    pub levels: Vec<i128>,
    /// Who holds or wants a part.
    pub holders: BTreeMap<u64, Holder>,
    /// Whether a refusal holds all back.
    pub stage: Stage,
}

/// Whether a refusal holds all back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It does not.
    Open,
    /// Nothing is granted until then.
    Paused {
        /// The end of the pause.
        until: u64,
    },
    /// One holder sends its first request; nobody else gets anything.
    Probing {
        /// Who: `None` until somebody asks.
        holder: Option<u64>,
    },
    /// The probe succeeded. Chunks are half as large until then.
    Half {
        /// From then on they are whole.
        until: u64,
    },
}

/// What is known of a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its last exchange, and the answer.
    pub seq: u64,
    /// What that exchange was answered.
    pub answer: Grant,
    /// When.
    pub answered: u64,
    /// It is forgotten then, with all that it holds.
    pub expires: u64,
    /// Granted, and not reported as spent or given back.
    pub outstanding: Vec<u64>,
    /// Until then it may be spending that; it need not be heard of before.
    pub spends_until: u64,
    /// What it asked for, and will ask for again: a holder that has no more to do says so.
    pub wanted: Vec<u64>,
    /// What its first request needs.
    pub least: Vec<u64>,
    /// What it is granted at once, on average: 0 where it was granted nothing yet.
    pub average: Vec<u64>,
    /// When it was granted something last.
    pub served: u64,
    /// Since when its first request waits, or since it was [served](Self::served), if that is later.
    pub waits_since: u64,
}

impl Holder {
    /// One of whom nothing is known yet.
    fn new(rules: usize, now: u64) -> Self {
        let nothing = vec![0; rules];
        let answer = Grant {
            granted: nothing.clone(),
            ttl: Duration::ZERO,
            next_poll: Duration::ZERO,
            pause: None,
            generation: 0,
            holders: 0,
        };
        Self {
            seq: 0,
            answer,
            answered: now,
            expires: now,
            outstanding: nothing.clone(),
            spends_until: now,
            wanted: nothing.clone(),
            least: nothing.clone(),
            average: nothing,
            served: 0,
            waits_since: now,
        }
    }

    /// Takes down that so much was granted.
    fn receive(&mut self, granted: &[u64], now: u64) {
        for (rule, granted) in granted.iter().enumerate() {
            self.outstanding[rule] += granted;
            let average = &mut self.average[rule];
            *average = if *average == 0 { *granted } else { (3 * *average + granted) / 4 };
        }
        (self.served, self.waits_since) = (now, now);
    }

    /// Whether it came and got nothing: it comes again with the same request.
    fn waits(&self) -> bool {
        self.wanted.iter().any(|wanted| *wanted > 0)
            && self.answer.granted.iter().all(|granted| *granted == 0)
    }

    /// Whether it did not come when it was to come. It may have died, and nobody waits for its turn.
    fn is_late(&self, now: u64) -> bool {
        let poll = micros(self.answer.next_poll);
        now > self.answered + poll + poll / 4 + LATE
    }
}

impl Row {
    /// A new row: empty, since nobody knows what was spent before.
    pub fn new(scope: &Scope, generation: u64, now: u64) -> Self {
        Self {
            generation,
            at: now,
            rules: rules(scope),
            levels: vec![0; scope.rules.len()],
            holders: BTreeMap::new(),
            stage: Stage::Open,
        }
    }

    /// Does one exchange at `now`.
    pub fn exchange(&mut self, scope: &Scope, exchange: &Exchange, now: u64) -> Grant {
        self.advance(scope, now);
        if let Some(holder) = self.holders.get(&exchange.holder)
            && exchange.seq <= holder.seq
        {
            return again(holder, now);
        }
        let all = self.rules.len();
        let list = |list: &[u64]| -> Vec<u64> {
            (0..all).map(|rule| list.get(rule).copied().unwrap_or(0).min(LARGEST)).collect()
        };
        self.report(exchange.holder, &list(&exchange.used), &list(&exchange.returned));
        self.turn(exchange, now);

        let least = list(&exchange.least);
        let wanted: Vec<u64> =
            list(&exchange.wanted).iter().zip(&least).map(|(wanted, least)| *wanted.max(least)).collect();
        let id = exchange.holder;
        let holder = self.holders.entry(id).or_insert_with(|| Holder::new(all, now));
        holder.seq = exchange.seq;
        holder.answered = now;
        holder.wanted = wanted;
        holder.least = least;
        holder.waits_since = now.saturating_sub(micros(exchange.oldest_wait)).max(holder.served);

        let granted = self.grant(id, &self.holders[&id], now);
        let some = granted.iter().any(|granted| *granted > 0);
        for (level, granted) in self.levels.iter_mut().zip(&granted) {
            *level -= i128::from(*granted) * UNIT;
        }
        if some && self.stage == (Stage::Probing { holder: None }) {
            self.stage = Stage::Probing { holder: Some(id) };
        }
        if let Some(holder) = self.holders.get_mut(&id).filter(|_| some) {
            holder.receive(&granted, now);
        }

        let next_poll = self.next_poll(id, &self.holders[&id], some, now);
        let ttl = if some { self.ttl(&granted) } else { 0 };
        let answer = Grant {
            granted,
            ttl: Duration::from_micros(ttl),
            next_poll: Duration::from_micros(next_poll),
            pause: match self.stage {
                Stage::Paused { until } => Some(Duration::from_micros(until - now)),
                _ => None,
            },
            generation: self.generation,
            holders: u32::try_from(self.holders.len()).unwrap_or(u32::MAX),
        };
        if let Some(holder) = self.holders.get_mut(&id) {
            holder.spends_until = holder.spends_until.max(now + longer(ttl));
            holder.expires = holder.spends_until.max(now + longer(2 * next_poll));
            holder.answer.clone_from(&answer);
        }
        answer
    }

    /// Lets the time pass, and takes over the limits where they are others.
    fn advance(&mut self, scope: &Scope, now: u64) {
        if self.rules.len() != scope.rules.len() {
            self.levels = vec![0; scope.rules.len()];
            self.holders.clear();
            self.generation += 1;
        }
        self.rules = rules(scope);
        // A clock that was set back: nothing lies further ahead than it could have been put there now.
        let elapsed = now.saturating_sub(self.at);
        self.at = now;
        for holder in self.holders.values_mut() {
            holder.spends_until = holder.spends_until.min(now + longer(LONGEST_TTL));
            holder.expires = holder.expires.min(now + longer(2 * LONGEST_POLL));
            holder.answered = holder.answered.min(now);
            holder.served = holder.served.min(now);
            holder.waits_since = holder.waits_since.min(now);
        }
        self.grow(elapsed);
        self.holders.retain(|_, holder| holder.expires > now);
        self.stage = match self.stage {
            Stage::Paused { until } if until <= now => Stage::Probing { holder: None },
            Stage::Paused { until } => Stage::Paused { until: until.min(now + LONGEST_PAUSE) },
            Stage::Probing { holder: Some(holder) }
                if self.holders.get(&holder).is_none_or(|holder| holder.is_late(now)) =>
            {
                Stage::Probing { holder: None }
            }
            Stage::Half { until } if until <= now || until > now + LONGEST_TTL => Stage::Open,
            stage => stage,
        };
    }

    /// What came in that time.
    fn grow(&mut self, elapsed: u64) {
        for (level, limit) in self.levels.iter_mut().zip(&self.rules) {
            *level += i128::from(elapsed) * i128::from(limit.amount) * UNIT / i128::from(micros(limit.per));
        }
        self.cap();
    }

    /// No more is saved up than a burst.
    fn cap(&mut self) {
        for (level, limit) in self.levels.iter_mut().zip(&self.rules) {
            *level = (*level).min(i128::from(limit.burst) * UNIT);
        }
    }

    /// Takes down what a holder spent and gave back. What it spent beyond its grants is a debt of all.
    fn report(&mut self, holder: u64, used: &[u64], returned: &[u64]) {
        let mut nothing = vec![0; self.rules.len()];
        let outstanding =
            self.holders.get_mut(&holder).map_or(&mut nothing, |holder| &mut holder.outstanding);
        for rule in 0..self.rules.len() {
            let spent = used[rule].min(outstanding[rule]);
            outstanding[rule] -= spent;
            // A number that cannot be true must not stop all for long.
            let lowest = self.levels[rule].min(-i128::from(self.rules[rule].burst) * UNIT);
            let level = self.levels[rule] - i128::from(used[rule] - spent) * UNIT;
            self.levels[rule] = level.max(lowest);
            let back = returned[rule].min(outstanding[rule]);
            outstanding[rule] -= back;
            self.levels[rule] += i128::from(back) * UNIT;
        }
        self.cap();
    }

    /// What a refusal, or a success after one, makes of the stage.
    fn turn(&mut self, exchange: &Exchange, now: u64) {
        if let Some(pause) = exchange.pause {
            let until = now + micros(pause).min(LONGEST_PAUSE);
            self.stage = match self.stage {
                Stage::Paused { until: before } => Stage::Paused { until: until.max(before) },
                _ => Stage::Paused { until },
            };
        } else if self.stage == (Stage::Probing { holder: Some(exchange.holder) }) {
            let holds = self.holders.get(&exchange.holder).map_or(&[][..], |holder| &holder.outstanding);
            if exchange.used.iter().any(|used| *used > 0) {
                self.stage = Stage::Half { until: now + HALF };
            } else if holds.iter().all(|units| *units == 0) {
                // It has given the probe back, so another one may send it.
                self.stage = Stage::Probing { holder: None };
            }
        }
    }

    /// What one holder gets: for each rule at least what its first request needs, or nothing of any.
    fn grant(&self, id: u64, holder: &Holder, now: u64) -> Vec<u64> {
        let nothing = vec![0; self.rules.len()];
        if holder.wanted.iter().all(|wanted| *wanted == 0) {
            return nothing;
        }
        let probe = match self.stage {
            Stage::Paused { .. } | Stage::Probing { holder: Some(_) } => return nothing,
            Stage::Probing { holder: None } => true,
            Stage::Open | Stage::Half { .. } => false,
        };
        let first = self.first_in_line(id, now);
        // The most of each rule, and the smallest part of what is wanted that these allow, as a fraction.
        let (mut part, mut whole) = (1, 1);
        for rule in 0..self.rules.len() {
            let (wanted, least) = (holder.wanted[rule], holder.least[rule]);
            if wanted == 0 {
                continue;
            }
            // Who has waited longest is not overtaken: its chunk is kept for it.
            let kept =
                first.filter(|(first, _)| *first != id).map_or(0, |(_, first)| self.needed(first, rule));
            let free = self.free(rule).saturating_sub(kept);
            let needed = if probe { least } else { self.needed(holder, rule) };
            if free < self.there(rule, least) {
                return nothing;
            }
            // A request that is larger than what can be saved up leaves a debt.
            let most = needed.min(free.max(least));
            if u128::from(most) * whole < part * u128::from(wanted) {
                (part, whole) = (u128::from(most), u128::from(wanted));
            }
        }
        (0..self.rules.len())
            .map(|rule| {
                let (wanted, least) = (holder.wanted[rule], holder.least[rule]);
                let scaled = u128::from(wanted) * part / whole;
                u64::try_from(scaled).unwrap_or(wanted).clamp(least, wanted)
            })
            .collect()
    }

    /// How much has to be there for so much: all of it, or all that can be saved up. What comes in within a whole period is
    /// never enough for more than that.
    fn there(&self, rule: usize, units: u64) -> u64 {
        let Rule { amount, burst, .. } = self.rules[rule];
        if units > burst.max(amount) { u64::MAX } else { units.min(burst) }
    }

    /// Whole units that can be granted.
    fn free(&self, rule: usize) -> u64 {
        u64::try_from(self.levels[rule].max(0) / UNIT).unwrap_or(u64::MAX)
    }

    fn chunk(&self, rule: usize) -> u64 {
        let whole = self.rules[rule].chunk();
        if matches!(self.stage, Stage::Half { .. }) { (whole / 2).max(1) } else { whole }
    }

    /// What a holder is granted at once: a chunk, or its first request where that is more.
    fn needed(&self, holder: &Holder, rule: usize) -> u64 {
        holder.wanted[rule].min(self.chunk(rule)).max(holder.least[rule])
    }

    /// Who has waited longest, of those who came in vain and of the one who asks.
    fn first_in_line(&self, asks: u64, now: u64) -> Option<(u64, &Holder)> {
        let waiting =
            self.holders.iter().filter(|(id, holder)| **id == asks || holder.waits() && !holder.is_late(now));
        waiting
            .map(|(id, holder)| (*id, holder))
            .max_by_key(|(id, holder)| (now - holder.waits_since, u64::MAX - id))
    }

    /// When a holder's next chunk will be there, if all who are expected before it get theirs.
    ///
    /// One that got nothing is told the moment at which there is enough for it. One that was served will ask for what nobody
    /// knows yet, and so will others before it. So that it does not come in vain, a reserve is built up that grows with the
    /// root of their number, as the error of a sum does. Half of what is there above the reserve is shared out at once: if
    /// it were all, everybody would come early together, and late together after that.
    fn next_poll(&self, id: u64, holder: &Holder, served: bool, now: u64) -> u64 {
        match self.stage {
            Stage::Paused { until } => return (until - now).clamp(SHORTEST_POLL, LONGEST_POLL),
            // It is not a matter of the level.
            Stage::Probing { holder: Some(_) } => return IDLE_POLL,
            _ => {}
        }
        let mut longest = 0;
        for (rule, limit) in self.rules.iter().enumerate().filter(|(rule, _)| holder.wanted[*rule] > 0) {
            let others = || self.holders.iter().filter(|(other, it)| **other != id && !it.is_late(now));
            let before = others().filter(|(other, it)| (it.waits_since, **other) < (holder.waits_since, id));
            let expected =
                before.map(|(_, it)| if it.waits() { self.needed(it, rule) } else { it.average[rule] });
            let own = if served { holder.average[rule] } else { self.there(rule, self.needed(holder, rule)) };
            let sum: i128 = expected.chain([own]).map(i128::from).sum();
            let mut there = self.levels[rule];
            if served {
                let wanting = 1 + others().filter(|(_, it)| it.wanted[rule] > 0).count() as u64;
                there -= i128::from(self.chunk(rule) * (9 * wanting).isqrt() / 4) * UNIT;
                there = if there > 0 { there / 2 } else { there };
            }
            let short = (sum * UNIT - there).max(0);
            let time = short * i128::from(micros(limit.per)) / (i128::from(limit.amount) * UNIT) + 1;
            longest = longest.max(u64::try_from(time).unwrap_or(u64::MAX));
        }
        match longest {
            0 => IDLE_POLL,
            _ if served => longest.clamp(SHORTEST_POLL, LONGEST_POLL),
            // A little later: who comes too early comes again.
            _ => longest.saturating_add(longest / 10).clamp(SHORTEST_POLL, LONGEST_POLL),
        }
    }

    /// Time enough to spend a grant: twice as long as the rate needs to bring as much again. What is more than a chunk is one
    /// request, and sent at once.
    fn ttl(&self, granted: &[u64]) -> u64 {
        let times = self.rules.iter().zip(granted).map(|(limit, granted)| {
            let worth = 2 * limit.chunk().min(*granted);
            u128::from(worth) * u128::from(micros(limit.per)) / u128::from(limit.amount)
        });
        u64::try_from(times.max().unwrap_or(0)).unwrap_or(u64::MAX).clamp(SHORTEST_TTL, LONGEST_TTL)
    }
}

/// The answer to an exchange that was done before: what is left of its times.
fn again(holder: &Holder, now: u64) -> Grant {
    let since = Duration::from_micros(now.saturating_sub(holder.answered));
    Grant {
        ttl: holder.answer.ttl.saturating_sub(since),
        next_poll: holder.answer.next_poll.saturating_sub(since).max(Duration::from_micros(SHORTEST_POLL)),
        pause: holder.answer.pause.map(|pause| pause.saturating_sub(since)),
        ..holder.answer.clone()
    }
}

/// How long a store keeps what its holder has for that time.
const fn longer(time: u64) -> u64 {
    time + time * KEPT_LONGER / 100
}

/// The limits of a scope. Its lists are open to all: what makes no sense is taken as the nearest that does.
fn rules(scope: &Scope) -> Vec<Rule> {
    scope.rules.iter().map(|rule| Rule::rate(rule.amount, rule.per).burst(rule.burst)).collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
