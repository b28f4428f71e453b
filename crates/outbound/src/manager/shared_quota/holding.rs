//! What one process holds of a shared quota, and when it asks for more. Pure: the time is an argument, and nothing waits.

use std::time::Duration;

use tokio::time::Instant;

use super::{away::Away, rules::Shared};
use crate::quota_store::{Exchange, Grant};

/// The shortest time between two exchanges.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);

/// How often it is looked whether something is to be done while requests are sent, and else.
const LOOK: Duration = Duration::from_millis(100);
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// What was spent is reported after this time, although nothing more is wanted.
const REPORT: Duration = Duration::from_secs(1);

/// What should remain at the provider is between what comes in during these times. Requests of several processes arrive in another
/// order than they were granted.
const LITTLE: Duration = Duration::from_millis(500);
const MUCH: Duration = Duration::from_millis(750);

/// Each exchange makes good this part of what is missing there, or too much. There are some ten exchanges in the time of a burst,
/// and a reply tells what remained when its request came: with larger parts it would swing.
const SURCHARGE: u64 = 20;
const DISCOUNT: u64 = 4;

/// A probe without a reply after this time holds the others back no longer.
const PROBE: Duration = Duration::from_secs(30);

/// What the limiter says of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Units {
    /// What is in hand. Below 0 where more was used than was granted.
    pub(super) level: i128,
    /// What the waiting requests cost.
    pub(super) queued: u64,
    /// What the first of them costs.
    pub(super) first: u64,
    /// What the provider said lately remains.
    pub(super) remaining: Option<u64>,
}

/// What the limiter says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Of each rule, in their order.
    pub(super) units: Vec<Units>,
    /// Whether requests are in flight, and whether some wait.
    pub(super) in_flight: bool,
    pub(super) waiting: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the store.
    Ask(Exchange),
    /// Look again then.
    Wait(Instant),
}

/// What a process holds.
#[derive(Debug)]
pub(super) struct Holding {
    id: u64,
    seq: u64,
    pub(super) rules: Vec<Shared>,
    /// What would be in hand if nothing had been used since the last report, of each rule.
    expected: Vec<i128>,
    /// What was taken back from the hand and not yet given back to the store.
    back: Vec<u64>,
    /// When the time to live ends of what the store has granted. `None`: nothing of it is in hand.
    until: Option<Instant>,
    /// When the last exchange was asked, and when the next may be.
    asked_at: Instant,
    next: Instant,
    /// The store had no more for this process when it last answered.
    scarce: bool,
    /// An exchange without an answer.
    asked: Option<Exchange>,
    /// Since when requests wait for grants.
    waits_since: Option<Instant>,
    /// The end of a pause that the store was not told.
    pause: Option<Instant>,
    /// The latest end of a pause that is known to the store.
    paused_until: Option<Instant>,
    /// After a pause nothing was granted so far.
    after_pause: bool,
    /// When the grant came that is a probe. What it used is not reported before its reply is there, because the store takes
    /// that for a success.
    pub(super) probing: Option<Instant>,
    pub(super) away: Away,
    pub(super) holders: u32,
    pub(super) exchanges: u64,
}

impl Holding {
    pub(super) fn new(id: u64, now: Instant) -> Self {
        Self {
            id,
            seq: 0,
            rules: Vec::new(),
            expected: Vec::new(),
            back: Vec::new(),
            until: None,
            asked_at: now,
            next: now,
            scarce: false,
            asked: None,
            waits_since: None,
            pause: None,
            paused_until: None,
            after_pause: false,
            probing: None,
            away: Away::default(),
            holders: 0,
            exchanges: 0,
        }
    }

    /// Takes over the rules. Says whether other dimensions are counted now: then the scope is another one, and nothing is held
    /// of it.
    pub(super) fn follow(&mut self, rules: Vec<Shared>) -> bool {
        let same = rules.iter().map(|rule| rule.dimension).eq(self.rules.iter().map(|rule| rule.dimension));
        self.rules = rules;
        if !same {
            let all = self.rules.len();
            (self.expected, self.back) = (vec![0; all], vec![0; all]);
            (self.until, self.asked, self.waits_since, self.probing) = (None, None, None, None);
            self.away = Away::default();
        }
        !same
    }

    /// The provider refused, and nothing is sent until then.
    pub(super) fn refused(&mut self, until: Instant) {
        if self.paused_until.is_none_or(|known| until > known) {
            (self.pause, self.paused_until) = (Some(until), Some(until));
        }
    }

    /// The reply to a request has come that was sent at `sent_at`.
    pub(super) fn replied(&mut self, sent_at: Instant) {
        if self.probing.is_some_and(|since| sent_at >= since) {
            self.probing = None;
            self.next = self.asked_at;
        }
    }

    /// Whether what is in hand has to be taken back: its time is over, or a pause begins.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.pause.is_some() || self.until.is_some_and(|until| until <= now)
    }

    /// So much was taken back from the hand, of each rule.
    pub(super) fn took_back(&mut self, units: &[u64]) {
        self.until = None;
        for ((expected, back), units) in self.expected.iter_mut().zip(&mut self.back).zip(units) {
            *expected -= i128::from(*units);
            *back += units;
        }
    }

    /// So much was put into the hand, of each rule, and not by a grant.
    pub(super) fn put(&mut self, units: &[u64]) {
        self.expected.iter_mut().zip(units).for_each(|(expected, units)| *expected += i128::from(*units));
    }

    /// What is to be done now, where no exchange is under way.
    pub(super) fn step(&mut self, now: Instant, seen: &Seen) -> Step {
        let soonest = self.asked_at + SHORTEST;
        if self.seq > 0 && now < soonest {
            return self.wait(soonest);
        }
        if let Some(asked) = &self.asked {
            if let Some(retry) = self.away.retry_at().filter(|retry| *retry > now) {
                return self.wait(retry.min(now + LOOK));
            }
            self.asked_at = now;
            return Step::Ask(asked.clone());
        }
        let spent = self.spent(seen);
        let is_spent = spent.iter().any(|spent| *spent > 0);
        if let Some(since) = self.probing {
            if self.back.iter().any(|back| *back > 0) && !is_spent {
                // It was not sent, and another process may send one.
                (self.probing, self.after_pause) = (None, true);
            } else if now >= since + PROBE || (now >= since + LOOK && is_spent && !seen.in_flight) {
                self.probing = None;
            }
        }
        let wants = self.wants(seen);
        let active = seen.in_flight || seen.waiting;
        let waits = wants.least.iter().any(|least| *least > 0);
        self.waits_since = if waits { self.waits_since.or(Some(now)) } else { None };
        let urgent = self.pause.is_some() || self.back.iter().any(|back| *back > 0);
        let probes = self.probing.is_some();
        let asks = urgent
            || (now >= self.next && !probes && (waits || wants.is_worth_it()))
            || (is_spent && !probes && now >= self.asked_at + REPORT)
            || (self.rules.is_empty() && active && now >= self.next.max(self.asked_at + REPORT));
        if asks {
            return Step::Ask(self.ask(now, &wants, &spent, seen));
        }
        let holds = seen.units.iter().any(|units| units.level != 0);
        let look = if waits && !probes {
            self.next.max(now + Duration::from_millis(1))
        } else if holds || is_spent || (active && !self.rules.is_empty()) {
            now + LOOK
        } else {
            now + IDLE_LOOK
        };
        let look = if is_spent && !probes { look.min(self.asked_at + REPORT) } else { look };
        self.wait(look)
    }

    /// Until then, or until what is in hand has to be taken back.
    fn wait(&self, until: Instant) -> Step {
        Step::Wait(self.until.map_or(until, |over| over.min(until)))
    }

    /// What was used since the last report, of each rule.
    fn spent(&self, seen: &Seen) -> Vec<u64> {
        let spent = self
            .expected
            .iter()
            .zip(&seen.units)
            .map(|(expected, units)| u64::try_from((expected - units.level).max(0)).unwrap_or(u64::MAX));
        spent.collect()
    }

    /// What would be of use. The hand holds a chunk at most, or the first request: what one process holds and does not spend,
    /// nobody else has. Of each rule it holds as much as the same requests need.
    fn wants(&self, seen: &Seen) -> Wants {
        // Where no request waits, it goes on as before.
        let needed: Vec<u64> = seen
            .units
            .iter()
            .zip(self.spent(seen))
            .map(|(units, spent)| units.queued.max(spent.saturating_mul(2)))
            .collect();
        let (mut part, mut whole) = (1, 1);
        for ((shared, units), needed) in self.rules.iter().zip(&seen.units).zip(&needed) {
            let most = u128::from(shared.rule.chunk().max(units.first));
            if most * whole < part * u128::from(*needed) {
                (part, whole) = (most, u128::from(*needed));
            }
        }
        let mut wants = Wants::default();
        for (units, needed) in seen.units.iter().zip(&needed) {
            let hold = u64::try_from((u128::from(*needed) * part).div_ceil(whole)).unwrap_or(u64::MAX);
            let hold = hold.max(units.first);
            // What is owed is reported, and paid by all.
            let hand = u64::try_from(units.level.max(0)).unwrap_or(u64::MAX);
            wants.hold.push(hold);
            wants.wanted.push(hold.saturating_sub(hand));
            wants.least.push(units.first.saturating_sub(hand));
        }
        wants
    }

    /// What is reported as used, and what as given back, of a rule. What requests cost is estimated, and the provider may count
    /// more or less. Where it has less left than it should, more than was used is reported; where it has more, and requests
    /// wait, a part of it counts as given back.
    fn reported(&self, rule: usize, spent: u64, seen: &Seen) -> (u64, u64) {
        let units = seen.units.get(rule).copied().unwrap_or_default();
        let (Some(remaining), Some(shared), true) = (units.remaining, self.rules.get(rule), spent > 0) else {
            return (spent, 0);
        };
        let in_time = |time: Duration| {
            let units = u128::from(shared.rule.amount) * time.as_nanos() / shared.rule.per.as_nanos();
            u64::try_from(units).unwrap_or(u64::MAX)
        };
        let more = in_time(LITTLE).saturating_sub(remaining).div_ceil(SURCHARGE);
        let less = if units.first > 0 && self.scarce {
            remaining.saturating_sub(in_time(MUCH)) / DISCOUNT
        } else {
            0
        };
        let less = less.min(spent / 2);
        (spent - less + more, less)
    }

    fn ask(&mut self, now: Instant, wants: &Wants, spent: &[u64], seen: &Seen) -> Exchange {
        self.seq += 1;
        self.asked_at = now;
        let mut exchange = Exchange::new(self.id, self.seq)
            .returned(std::mem::replace(&mut self.back, vec![0; self.rules.len()]))
            .wanted(wants.wanted.clone())
            .least(wants.least.clone())
            .oldest_wait(self.waits_since.map_or(Duration::ZERO, |since| now - since));
        if self.probing.is_none() {
            let reported = spent.iter().enumerate().map(|(rule, spent)| self.reported(rule, *spent, seen));
            let (used, back): (Vec<u64>, Vec<u64>) = reported.unzip();
            exchange = exchange.used(used);
            exchange.returned.iter_mut().zip(back).for_each(|(returned, back)| *returned += back);
            for (expected, spent) in self.expected.iter_mut().zip(spent) {
                *expected -= i128::from(*spent);
            }
        }
        if let Some(until) = self.pause.take().filter(|until| *until > now) {
            exchange = exchange.pause(until - now);
            self.after_pause = true;
        }
        self.asked = Some(exchange.clone());
        exchange
    }

    /// What is owed and was reported is a debt of all: so much is put into the hand for it.
    pub(super) fn forgive(&mut self) -> Vec<u64> {
        let owed = |expected: &i128| u64::try_from(expected.min(&0).unsigned_abs()).unwrap_or(u64::MAX);
        let owed: Vec<u64> = self.expected.iter().map(owed).collect();
        self.put(&owed);
        owed
    }

    /// An answer has come to the exchange that was asked at `since`. What it grants is put into the hand.
    pub(super) fn answered(&mut self, grant: &Grant, since: Instant, now: Instant) {
        let asked = self.asked.take();
        self.exchanges += 1;
        self.holders = grant.holders;
        self.next = since + grant.next_poll.max(SHORTEST);
        self.scarce = grant.next_poll > SHORTEST;
        self.expected
            .iter_mut()
            .zip(&grant.granted)
            .for_each(|(expected, granted)| *expected += i128::from(*granted));
        self.away.answered(&grant.granted, grant.ttl, now);
        if let Some(pause) = grant.pause {
            self.after_pause = true;
            self.paused_until = self.paused_until.max(Some(now + pause));
        }
        if grant.granted.iter().any(|granted| *granted > 0) {
            self.until = self.until.max(Some(since + grant.ttl));
            // After a pause the first request of one process is a probe: it gets that request, and nothing more.
            let is_one = asked.is_some_and(|asked| asked.least == grant.granted);
            if std::mem::take(&mut self.after_pause) && is_one {
                self.probing = Some(now);
            }
        }
    }

    /// Whether an exchange has no answer.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// When what is in hand has to be taken back.
    pub(super) fn over_at(&self) -> Option<Instant> {
        self.until
    }

    /// The last exchange: gives all back. `None`: there is nothing to say.
    pub(super) fn last(&mut self, now: Instant, seen: &Seen) -> Option<Exchange> {
        self.probing = None;
        let spent = self.spent(seen);
        let any = |units: &[u64]| units.iter().any(|units| *units > 0);
        // An exchange whose answer is not known may have been done, and is asked no more.
        let says = self.exchanges > 0 && (any(&spent) || any(&self.back) || self.pause.is_some());
        says.then(|| {
            let nothing = Wants { hold: Vec::new(), wanted: Vec::new(), least: Vec::new() };
            self.waits_since = None;
            self.ask(now, &nothing, &spent, seen)
        })
    }

    /// No answer has come. Says whether the store is away since now.
    pub(super) fn failed(&mut self, since: Instant, now: Instant) -> bool {
        self.away.failed(since, now)
    }

    /// What this process may have without the store, while that is away.
    pub(super) fn credit(&mut self, now: Instant, seen: &Seen) -> Vec<u64> {
        let wants = self.wants(seen);
        self.away.credit(now, &self.rules, self.holders, &wants.wanted)
    }
}

/// What would be of use, of each rule.
#[derive(Debug, Default)]
struct Wants {
    /// What the hand should hold.
    hold: Vec<u64>,
    /// How much more.
    wanted: Vec<u64>,
    /// What the first request lacks.
    least: Vec<u64>,
}

impl Wants {
    /// Whether the hand is half empty.
    fn is_worth_it(&self) -> bool {
        self.hold.iter().zip(&self.wanted).any(|(hold, wanted)| *wanted > 0 && wanted * 2 >= *hold)
    }
}
