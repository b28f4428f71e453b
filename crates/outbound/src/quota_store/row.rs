//! What a store knows of one scope, and how an exchange changes it. Pure: the time is an argument, and nothing waits.

use std::{collections::BTreeMap, time::Duration};

use super::{Exchange, Grant, Rule, Scope};

/// Levels are counted in millionths, so that nothing of the rate is lost between two exchanges.
const UNIT: i128 = 1_000_000;

/// The shortest time between two exchanges of one holder.
const SHORTEST_POLL: u64 = 100_000;

/// The longest. The turn of a holder that died is waited for no longer.
const LONGEST_POLL: u64 = 40_000_000;

/// The longest and the shortest time to live of a grant.
const LONGEST_TTL: u64 = 60_000_000;
const SHORTEST_TTL: u64 = 1_000_000;

/// The time between two exchanges of a holder that lacks nothing, or that waits for the probe of another.
const IDLE_POLL: u64 = 1_000_000;

/// How long chunks are half as large after a pause.
const HALF: u64 = 5_000_000;

/// The longest pause that is believed.
const LONGEST_PAUSE: u64 = 3_600_000_000;

/// How much longer a store keeps a grant than its holder may spend it, in per cent.
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
    /// Until then it may be spending that; it is not heard of before its next exchange.
    pub spends_until: u64,
    /// What it asked for, and will ask for again: a holder that has no more to do says so.
    pub wanted: Vec<u64>,
    /// What its first request needs.
    pub least: Vec<u64>,
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
            least: nothing,
            served: 0,
            waits_since: now,
        }
    }
}

impl Row {
    /// A new row: empty, since nobody knows what was spent before.
    pub fn new(scope: &Scope, generation: u64, now: u64) -> Self {
        Self {
            generation,
            at: now,
            rules: scope.rules.clone(),
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
            (0..all).map(|rule| list.get(rule).copied().unwrap_or(0)).collect()
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
            holder
                .outstanding
                .iter_mut()
                .zip(&granted)
                .for_each(|(outstanding, granted)| *outstanding += granted);
            (holder.served, holder.waits_since) = (now, now);
        }

        let next_poll = self.next_poll(id, &self.holders[&id], now);
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
            let longer = |time: u64| time + time * KEPT_LONGER / 100;
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
        self.rules.clone_from(&scope.rules);
        // A clock that was set back: nothing lies further ahead than it could have been put there now.
        let elapsed = now.saturating_sub(self.at);
        self.at = now;
        self.holders.retain(|_, holder| {
            let longest = now + 2 * LONGEST_POLL * (100 + KEPT_LONGER) / 100;
            holder.spends_until = holder.spends_until.min(longest);
            holder.expires = holder.expires.min(longest);
            holder.answered = holder.answered.min(now);
            holder.served = holder.served.min(now);
            holder.waits_since = holder.waits_since.min(now);
            holder.expires > now
        });
        for (rule, limit) in self.rules.iter().enumerate() {
            let grown = i128::from(elapsed) * i128::from(limit.amount) * UNIT / i128::from(micros(limit.per));
            self.levels[rule] += grown;
        }
        self.cap();
        self.stage = match self.stage {
            Stage::Paused { until } if until <= now => Stage::Probing { holder: None },
            Stage::Paused { until } => Stage::Paused { until: until.min(now + LONGEST_PAUSE) },
            Stage::Probing { holder: Some(holder) } if !self.holders.contains_key(&holder) => {
                Stage::Probing { holder: None }
            }
            Stage::Half { until } if until <= now || until > now + LONGEST_TTL => Stage::Open,
            stage => stage,
        };
    }

    /// What is granted and may be spent at any moment counts against the burst.
    fn cap(&mut self) {
        let spending = || self.holders.values().filter(|holder| holder.spends_until > self.at);
        for (rule, limit) in self.rules.iter().enumerate() {
            let outstanding: u64 = spending().map(|holder| holder.outstanding[rule]).sum();
            let most = i128::from(limit.burst) - i128::from(outstanding);
            let level = &mut self.levels[rule];
            // A debt is paid off all the same.
            *level = (*level).min(most.max(0) * UNIT);
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
        let first = self.first_in_line(now);
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
            if free < self.there(holder, rule, least) {
                return nothing;
            }
            // A request that is larger than what can be saved up makes the level negative.
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

    /// How much has to be there for so much: all of it, or where that is more than can be saved up, all that can be saved up
    /// beside what the holder has.
    fn there(&self, holder: &Holder, rule: usize, units: u64) -> u64 {
        let burst = self.rules[rule].burst;
        if units > burst { burst.saturating_sub(holder.outstanding[rule]) } else { units }
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

    /// Who lacks what its first request needs, and has waited longest.
    fn first_in_line(&self, now: u64) -> Option<(u64, &Holder)> {
        let lacking =
            self.holders.iter().filter(|(_, holder)| holder.wanted.iter().any(|wanted| *wanted > 0));
        lacking
            .map(|(id, holder)| (*id, holder))
            .max_by_key(|(id, holder)| (now - holder.waits_since, u64::MAX - id))
    }

    /// When the next chunk of a holder will be there, if all who lack something get one before it.
    fn next_poll(&self, id: u64, holder: &Holder, now: u64) -> u64 {
        if let Stage::Paused { until } = self.stage {
            return (until - now).clamp(SHORTEST_POLL, LONGEST_POLL);
        }
        // Who lacks nothing has time, and nobody gets anything before a probe has succeeded.
        if matches!(self.stage, Stage::Probing { holder: Some(_) })
            || holder.wanted.iter().all(|wanted| *wanted == 0)
        {
            return IDLE_POLL;
        }
        let mut longest = 0;
        for (rule, limit) in self.rules.iter().enumerate().filter(|(rule, _)| holder.wanted[*rule] > 0) {
            let before = self
                .holders
                .iter()
                .filter(|(other, it)| **other != id && (it.waits_since, **other) < (holder.waits_since, id));
            let own = self.there(holder, rule, self.needed(holder, rule));
            let sum: i128 = before.map(|(_, other)| i128::from(self.needed(other, rule))).sum();
            let sum = sum + i128::from(own);
            let short = (sum * UNIT - self.levels[rule]).max(0);
            let time = short * i128::from(micros(limit.per)) / (i128::from(limit.amount) * UNIT) + 1;
            longest = longest.max(u64::try_from(time).unwrap_or(u64::MAX));
        }
        // A little later: who comes too early comes again.
        (longest + longest / 20).clamp(SHORTEST_POLL, LONGEST_POLL)
    }

    /// Time enough to spend a grant: three times as long as the rate needs to bring as much again.
    fn ttl(&self, granted: &[u64]) -> u64 {
        let times = self.rules.iter().zip(granted).map(|(limit, granted)| {
            3 * u128::from(*granted) * u128::from(micros(limit.per)) / u128::from(limit.amount)
        });
        u64::try_from(times.max().unwrap_or(0)).unwrap_or(u64::MAX).clamp(SHORTEST_TTL, LONGEST_TTL)
    }
}

/// The answer to an exchange that was done before: what is left of its times.
fn again(holder: &Holder, now: u64) -> Grant {
    let since = Duration::from_micros(now.saturating_sub(holder.answered));
    Grant {
        ttl: holder.answer.ttl.saturating_sub(since),
        pause: holder.answer.pause.map(|pause| pause.saturating_sub(since)),
        ..holder.answer.clone()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
