//! What is asked of a store of quota, and what it answers.

use std::{error, fmt, time::Duration};

/// One limit of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// How much comes in each [`per`](Self::per).
    pub amount: u64,
    /// A time.
    pub per: Duration,
    /// How much can be saved up.
    pub burst: u64,
}

impl Rule {
    /// So much in each such time, and as much can be saved up.
    ///
    /// An amount of 0 is taken as 1, and a time below a millisecond as a millisecond.
    pub fn rate(amount: u64, per: Duration) -> Self {
        let amount = amount.clamp(1, LARGEST);
        Self { amount, per: per.clamp(Duration::from_millis(1), LONGEST), burst: amount }
    }

    /// The most that is granted at once, but for one request that is larger: a tenth of the burst, at least 1.
    ///
    /// Providers enforce a quota of a minute over seconds, too, and what one holds nobody else can use.
    pub const fn chunk(&self) -> u64 {
        if self.burst < CHUNKS { 1 } else { self.burst / CHUNKS }
    }

    /// How much can be saved up; 0 is taken as 1.
    pub fn burst(self, burst: u64) -> Self {
        Self { burst: burst.clamp(1, LARGEST), ..self }
    }
}

/// A chunk is this part of the burst.
const CHUNKS: u64 = 10;

/// Amounts above this are taken as this.
pub(super) const LARGEST: u64 = 1_000_000_000_000;

/// Times above this are taken as this: 31 days.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// What shares one quota: a key at a provider, say, and a model. All who use it have to give it the same rules.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Scope {
    /// What all who share it call it. Never the key itself.
    pub name: String,
    /// Its limits. They are granted together.
    pub rules: Vec<Rule>,
}

impl Scope {
    /// A scope without a limit.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rules: Vec::new() }
    }

    /// Adds a limit.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

/// What a holder reports and asks for. Each list has a number for each rule of the scope, in their order; a list that is too
/// short is filled up with 0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Exchange {
    /// Who asks: a number that no other process draws.
    pub holder: u64,
    /// The number of the exchange: 1, 2, 3. The same number again is the same exchange.
    pub seq: u64,
    /// What was spent of earlier grants since the last exchange.
    pub used: Vec<u64>,
    /// What is given back of earlier grants. It is of use to others if it comes before half of a [time to live](Grant::ttl) has
    /// passed since the end of that time.
    pub returned: Vec<u64>,
    /// How much would be of use now.
    pub wanted: Vec<u64>,
    /// What the first request in line needs. Less than this is of no use, and is not granted.
    pub least: Vec<u64>,
    /// How long the first in line has waited.
    pub oldest_wait: Duration,
    /// The provider refused, and said to wait for so long.
    pub pause: Option<Duration>,
}

impl Exchange {
    /// Asks for nothing, and reports nothing.
    pub fn new(holder: u64, seq: u64) -> Self {
        let none = Vec::new;
        Self {
            holder,
            seq,
            used: none(),
            returned: none(),
            wanted: none(),
            least: none(),
            oldest_wait: Duration::ZERO,
            pause: None,
        }
    }

    /// The number of the exchange.
    pub const fn seq(mut self, seq: u64) -> Self {
        self.seq = seq;
        self
    }

    /// What was spent of earlier grants.
    pub fn used(mut self, used: impl Into<Vec<u64>>) -> Self {
        self.used = used.into();
        self
    }

    /// What is given back of earlier grants.
    pub fn returned(mut self, returned: impl Into<Vec<u64>>) -> Self {
        self.returned = returned.into();
        self
    }

    /// How much would be of use.
    pub fn wanted(mut self, wanted: impl Into<Vec<u64>>) -> Self {
        self.wanted = wanted.into();
        self
    }

    /// What the first request needs.
    pub fn least(mut self, least: impl Into<Vec<u64>>) -> Self {
        self.least = least.into();
        self
    }

    /// How long the first in line has waited.
    pub const fn oldest_wait(mut self, wait: Duration) -> Self {
        self.oldest_wait = wait;
        self
    }

    /// The provider refused, and said to wait for so long.
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }
}

/// What was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// How much of each rule. All of it is 0 where nothing was granted.
    pub granted: Vec<u64>,
    /// For how long, counted from before the exchange was sent, all that the holder has may be spent; 0 where nothing was
    /// granted: then the time of the grant before goes on. What is not spent by then is given back, and not spent.
    pub ttl: Duration,
    /// When to ask again, at the earliest.
    pub next_poll: Duration,
    /// Nobody may send for so long: the provider refused one of all holders.
    pub pause: Option<Duration>,
    /// A number that changes where the store has lost what it knew.
    pub generation: u64,
    /// How many hold or want a part of this quota, this one included.
    pub holders: u32,
}

/// A store of quota failed.
#[derive(Debug)]
pub struct QuotaError(Box<dyn error::Error + Send + Sync>);

impl QuotaError {
    /// Wraps the error of a store.
    pub fn new(error: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store of quota failed")
    }
}

impl error::Error for QuotaError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}
