//! A workload whose draws are all fixed before it starts, so that an oracle can know them.

use std::time::Duration;

use crate::{
    draw::{Draw, Purpose},
    fault::Fault,
    latency::Latency,
};

/// The text before and behind the number of an item in its mark.
const MARK: (&str, &str) = ("[item ", "]");

/// What happens to each attempt at each of a number of items.
///
/// Items are numbered from 0, and each request says which one it is by a [`mark`](Self::mark) in its last message. All
/// draws depend on the seed, the item and the number of the attempt. The answer to a request ends with its mark.
///
/// The faults of first attempts are exact in number: a share of 0.01 of 2,000 items strikes 20 of them, and no item
/// has two. Later attempts, up to [`faulty_attempts`](Self::faulty_attempts), draw with the same shares as
/// probabilities.
///
/// ```
/// use std::time::Duration;
/// use outbound_simulator::{Fault, Latency, Plan, Refusal, Simulator};
///
/// let plan = Plan::new(7, 2_000)
///     .latency(Latency::log_normal(Duration::from_millis(800), Duration::from_secs(8)))
///     .fault(Refusal::status(500), 0.01)
///     .fault(Fault::Silence, 0.002);
/// assert_eq!(Plan::mark(3), "[item 3]");
/// let simulator = Simulator::builder().plan(plan).build();
/// # let _ = simulator;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a plan does nothing until a simulator has it"]
pub struct Plan {
    seed: u64,
    items: u64,
    latency: Latency,
    faults: Vec<(Fault, f64)>,
    hopeless: Option<(Fault, f64)>,
    faulty_attempts: u32,
    // The rank of each item, drawn by the seed. The items of the lowest ranks have the first fault, and so on.
    ranks: Vec<u32>,
}

/// What happens to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) latency: Duration,
    pub(crate) fault: Option<Fault>,
    /// Whether every attempt at this item fails in this way.
    pub(crate) is_final: bool,
}

impl Plan {
    /// A plan for this many items, in which nothing takes time and nothing goes wrong.
    pub fn new(seed: u64, items: u32) -> Self {
        let mut ranks: Vec<u32> = (0..items).collect();
        let mut draw = Draw::keyed(seed, u64::from(items), 0, Purpose::Ranks);
        // The shuffle of Fisher and Yates.
        for last in (1..ranks.len()).rev() {
            ranks.swap(last, draw.between(0, last as u64) as usize);
        }
        // From the item of each rank to the rank of each item.
        let mut places = vec![0; ranks.len()];
        for (place, item) in ranks.iter().enumerate() {
            places[*item as usize] = place as u32;
        }
        Self {
            seed,
            items: u64::from(items),
            latency: Latency::none(),
            faults: Vec::new(),
            hopeless: None,
            faulty_attempts: 3,
            ranks: places,
        }
    }

    /// Time of each attempt from its request to the end of its answer. A stream has its head after a quarter
    /// of it, and then at most eight pieces.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// Adds a fault that strikes this share of the first attempts, rounded to whole items.
    pub fn fault(mut self, fault: impl Into<Fault>, share: f64) -> Self {
        self.faults.push((fault.into(), share));
        self
    }

    /// How many attempts at an item may be struck by a fault. Default: 3.
    pub fn faulty_attempts(mut self, attempts: u32) -> Self {
        self.faulty_attempts = attempts;
        self
    }

    /// Refuses this share of the items at every attempt.
    pub fn refuse_for_good(mut self, refusal: impl Into<Fault>, share: f64) -> Self {
        self.hopeless = Some((refusal.into(), share));
        self
    }

    /// What the last message of a request must contain: `[item 17]`.
    pub fn mark(item: u64) -> String {
        format!("{}{item}{}", MARK.0, MARK.1)
    }

    /// The item of a body, from the last mark in it.
    pub(crate) fn item_of(&self, body: &[u8]) -> Option<u64> {
        let at = body.windows(MARK.0.len()).rposition(|window| window == MARK.0.as_bytes())?;
        let rest = &body[at + MARK.0.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !rest[digits..].starts_with(MARK.1.as_bytes()) {
            return None;
        }
        let item = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        (item < self.items).then_some(item)
    }

    /// Attempts are counted from 1.
    pub(crate) fn attempt(&self, item: u64, attempt: u32) -> Planned {
        let latency = self.latency.draw(&mut Draw::keyed(self.seed, item, attempt, Purpose::Latency));
        let place = self.ranks.get(item as usize).copied().map_or(u64::MAX, u64::from);
        let hopeless = self.hopeless.as_ref().map_or(0, |(_, share)| self.count(*share));
        if let (Some((fault, _)), true) = (&self.hopeless, place < hopeless) {
            return Planned { latency, fault: Some(fault.clone()), is_final: true };
        }
        let fault = if attempt > self.faulty_attempts {
            None
        } else if attempt == 1 {
            let mut first = hopeless;
            self.faults.iter().find(|(_, share)| {
                let end = first + self.count(*share);
                let is_struck = (first..end).contains(&place);
                first = end;
                is_struck
            })
        } else {
            let drawn = Draw::keyed(self.seed, item, attempt, Purpose::Rule(0)).unit();
            let mut sum = 0.0;
            self.faults.iter().find(|(_, share)| {
                sum += share;
                drawn < sum
            })
        };
        Planned { latency, fault: fault.map(|(fault, _)| fault.clone()), is_final: false }
    }

    /// A share of the items as a whole number of them.
    fn count(&self, share: f64) -> u64 {
        (share * self.items as f64).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Refusal;

    fn plan(items: u32) -> Plan {
        Plan::new(7, items)
            .fault(Refusal::status(500), 0.01)
            .fault(Fault::Silence, 0.002)
            .refuse_for_good(Refusal::status(400), 0.005)
    }

    #[test]
    fn first_attempts_have_exactly_their_share_and_no_item_two_faults() {
        for items in [0, 1, 500, 2_000] {
            let plan = plan(items);
            let count = |fault: &Fault| {
                (0..u64::from(items))
                    .filter(|item| plan.attempt(*item, 1).fault.as_ref() == Some(fault))
                    .count()
            };
            let of = |share: f64| (share * f64::from(items)).round() as usize;
            assert_eq!(count(&Refusal::status(500).into()), of(0.01));
            assert_eq!(count(&Fault::Silence), of(0.002));
            assert_eq!(count(&Refusal::status(400).into()), of(0.005));
        }
    }

    #[test]
    fn later_attempts_draw_and_the_last_have_none() {
        let plan = plan(100_000);
        let struck = |attempt| {
            let planned = (0..100_000).map(|item| plan.attempt(item, attempt));
            planned.filter(|planned| planned.fault.is_some() && !planned.is_final).count()
        };
        for attempt in [2, 3] {
            let share = struck(attempt) as f64 / 100_000.0;
            assert!((share - 0.012).abs() < 0.002, "{share}");
        }
        assert_eq!(struck(4), 0);
        assert!((0..100_000).filter(|item| plan.attempt(*item, 9).is_final).count() == 500);
    }

    #[test]
    fn another_seed_strikes_other_items() {
        let struck = |seed| {
            let plan = Plan::new(seed, 1_000).fault(Fault::Silence, 0.01);
            (0..1_000).filter(|item| plan.attempt(*item, 1).fault.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(struck(1), struck(1));
        assert_ne!(struck(1), struck(2));
    }

    #[test]
    fn an_item_is_known_by_its_last_mark() {
        let plan = plan(20);
        for (body, item) in [
            ("[item 3] and [item 17]", Some(17)),
            ("x[item 0]", Some(0)),
            ("[item 20]", None),
            ("[item ]", None),
            ("[item 4", None),
            ("", None),
        ] {
            assert_eq!(plan.item_of(body.as_bytes()), item, "{body}");
        }
        assert_eq!(plan.item_of(Plan::mark(12).as_bytes()), Some(12));
    }
}
