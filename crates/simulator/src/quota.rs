//! What the provider allows: a counter for each dimension, and an admission that takes from all of them or from none.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    meter::{Meter, Window},
    others::OtherCalls,
};

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Requests.
    Requests,
    /// Tokens, input and output together.
    Tokens,
    /// Tokens of the prompt.
    InputTokens,
    /// Tokens of the answer.
    OutputTokens,
}

impl Dimension {
    /// The name in headers and in the ledger: `requests`, `tokens`, `input-tokens`, `output-tokens`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input-tokens",
            Self::OutputTokens => "output-tokens",
        }
    }
}

/// The tokens that one request takes from the quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cost {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Cost {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
        }
    }

    pub(crate) fn of(self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Requests => 1,
            Dimension::Tokens => self.input.saturating_add(self.output),
            Dimension::InputTokens => self.input,
            Dimension::OutputTokens => self.output,
        }
    }
}

/// The dimension without room. Of several, the one with the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverQuota {
    pub(crate) dimension: Dimension,
    pub(crate) limit: u64,
    pub(crate) requested: u64,
    /// How long it is until the same request would be admitted, if nobody else came. `None`: it never will be.
    pub(crate) wait: Option<Duration>,
}

/// What is left of a dimension, for the limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) dimension: Dimension,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) full_in: Duration,
}

/// What an admission takes from the quotas of tokens, and whether it is corrected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Charging {
    /// It takes the prompt and `max_tokens` at admission, and never corrects that (OpenAI).
    Estimate,
    /// It takes the same, and gives back at the end what is not billed (Anthropic's output tokens).
    #[default]
    Settle,
    /// It takes the prompt and the tokens that will be generated, at admission.
    Actual,
}

/// How a simulator counts. [`Quotas`] are made from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counting {
    pub(crate) window: Window,
    /// The length of the window, or what a bucket holds.
    pub(crate) burst: Duration,
    pub(crate) charging: Charging,
    pub(crate) charge_refused: bool,
}

/// Times are given as time since the start of the simulator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotas {
    // In the order of `Dimension`, so that headers come in one order.
    meters: Vec<(Dimension, Meter)>,
    charge_refused: bool,
    charging: Charging,
    // The limits at the start, in the order of the meters, and the changes still to come, the next one last.
    limits: Vec<u64>,
    changes: Vec<(Duration, f64)>,
    others: Option<OtherCalls>,
    // How many calls of other users were admitted, and what they took.
    taken_by_others: (u64, Cost),
}

impl Quotas {
    pub(crate) fn new(mut per_minute: Vec<(Dimension, u64)>, counting: Counting) -> Self {
        let Counting { window, burst, charging, charge_refused } = counting;
        per_minute.sort_by_key(|(dimension, _)| *dimension);
        let limits = per_minute.iter().map(|(_, limit)| *limit).collect();
        let meter = |(dimension, limit)| (dimension, Meter::new(window, limit, burst));
        let meters = per_minute.into_iter().map(meter).collect();
        Self { meters, charge_refused, charging, limits, ..Self::default() }
    }

    /// From `at` on, every limit is this many times what it was at the start.
    pub(crate) fn with_changes(mut self, mut changes: Vec<(Duration, f64)>) -> Self {
        changes.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        self.changes = changes;
        self
    }

    pub(crate) fn with_others(mut self, others: Option<OtherCalls>) -> Self {
        self.others = others;
        self
    }

    /// Makes the changes, and the calls of other users, that are due, each at its own time. It has to be called before the
    /// meters are read.
    fn advance(&mut self, now: Duration) {
        loop {
            let change = self.next_change().unwrap_or(Duration::MAX);
            let call = self.others.as_ref().and_then(|others| others.due(now));
            if let Some((at, cost)) = call.filter(|(at, _)| *at < change) {
                self.admit_other(at, cost);
            } else if let Some((at, factor)) = self.changes.pop_if(|(at, _)| *at <= now) {
                for ((_, meter), limit) in self.meters.iter_mut().zip(&self.limits) {
                    meter.set_limit(at, (*limit as f64 * factor).round() as u64);
                }
            } else {
                return;
            }
        }
    }

    /// Admits the next call of other users, or lets it wait. A call that can never be admitted is dropped.
    fn admit_other(&mut self, at: Duration, cost: Cost) {
        let over = self.no_room(at, cost);
        let Some(others) = &mut self.others else { return };
        if let Some(OverQuota { wait: Some(wait), .. }) = over {
            return others.wait_until(at.saturating_add(wait));
        }
        others.pop();
        if over.is_none() {
            self.take(at, cost);
            let (calls, sum) = self.taken_by_others;
            self.taken_by_others = (calls + 1, sum.plus(cost));
        }
    }

    pub(crate) fn taken_by_others(&mut self, now: Duration) -> (u64, Cost) {
        self.advance(now);
        self.taken_by_others
    }

    /// Takes the whole cost. Or takes nothing, and says which dimension has no room.
    pub(crate) fn admit(&mut self, now: Duration, cost: Cost) -> Result<(), OverQuota> {
        self.advance(now);
        let Some(over) = self.no_room(now, cost) else {
            self.take(now, cost);
            return Ok(());
        };
        if self.charge_refused {
            let requests = self.meters.iter_mut().find(|(dimension, _)| *dimension == Dimension::Requests);
            requests.into_iter().for_each(|(_, meter)| meter.take_up_to(now, 1));
        }
        Err(over)
    }

    /// The dimension that has no room for a cost, if there is one.
    fn no_room(&mut self, now: Duration, cost: Cost) -> Option<OverQuota> {
        let over = |(dimension, meter): &mut (Dimension, Meter)| {
            let requested = cost.of(*dimension);
            let wait = meter.wait(now, requested).err()?;
            Some(OverQuota { dimension: *dimension, limit: meter.limit(), requested, wait })
        };
        let over = self.meters.iter_mut().filter_map(over);
        over.max_by_key(|over| over.wait.unwrap_or(Duration::MAX))
    }

    fn take(&mut self, now: Duration, cost: Cost) {
        for (dimension, meter) in &mut self.meters {
            meter.take(now, cost.of(*dimension));
        }
    }

    /// Corrects what was taken at `taken` by what was really used, if that is how it charges. The request itself stays
    /// counted.
    pub(crate) fn settle(&mut self, now: Duration, taken: Duration, estimate: Cost, actual: Cost) {
        if self.charging != Charging::Settle {
            return;
        }
        self.advance(now);
        for (dimension, meter) in &mut self.meters {
            meter.settle(now, taken, estimate.of(*dimension), actual.of(*dimension));
        }
    }

    pub(crate) fn standings(&mut self, now: Duration) -> Vec<Standing> {
        self.advance(now);
        let standing = |(dimension, meter): &mut (Dimension, Meter)| Standing {
            dimension: *dimension,
            limit: meter.limit(),
            remaining: meter.remaining(now),
            full_in: meter.full_in(now),
        };
        self.meters.iter_mut().map(standing).collect()
    }

    pub(crate) fn charging(&self) -> Charging {
        self.charging
    }

    pub(crate) fn next_change(&self) -> Option<Duration> {
        self.changes.last().map(|(at, _)| *at)
    }

    /// Each dimension with its limit per minute and what can be used at once. Later changes of the limits are left out.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (Dimension, u64, f64)> {
        self.meters.iter().map(|(dimension, meter)| (*dimension, meter.limit(), meter.capacity()))
    }
}
