//! The rules of a shared quota, and the name by which all processes know it.

use std::{fmt::Write as _, time::Duration};

use outbound_limiter::{DimensionSnapshot, QuotaDimension};
use sha2::{Digest, Sha256};

use crate::quota_store::{Rule, Scope};

/// Limits with a longer window stay with each process: what one holds of a day would be lost for hours with it.
const LONGEST_WINDOW: Duration = Duration::from_secs(300);

/// How much can be saved up: what comes in during this time, where one process uses the quota, and where several do.
///
/// A provider that holds one second's worth is the strictest that is common. What all have in hand comes on top of what is saved up,
/// so it is less with several. Measured with four processes and an outage of five seconds, refused of 1,000: with 0.8 s 1, with
/// 0.9 s 5, with 1.25 s 10. One alone asks ten times a second at most, for a tenth: with 1 s it reaches 0.84 of the rate, with
/// 1.25 s 0.96.
const ALONE: Duration = Duration::from_millis(1_250);
const SEVERAL: Duration = Duration::from_millis(850);

/// A limit that all processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) dimension: QuotaDimension,
    pub(super) rule: Rule,
}

/// The limits to share: of each dimension the one with the lowest rate. What was only learnt from refusals is an estimate of
/// what this process gets, and no limit of all. So many `holders` use them, as the store last said.
pub(super) fn shared(dimensions: &[DimensionSnapshot], holders: u32) -> Vec<Shared> {
    let saved = if holders > 1 { SEVERAL } else { ALONE };
    let limits = dimensions.iter().filter(|limit| {
        !limit.learned && limit.limit > 0 && !limit.window.is_zero() && limit.window <= LONGEST_WINDOW
    });
    let mut shared: Vec<Shared> = Vec::new();
    for limit in limits {
        let one = Shared { dimension: limit.dimension, rule: rule(limit.limit, limit.window, saved) };
        match shared.iter_mut().find(|known| known.dimension == one.dimension) {
            Some(known) if is_slower(&one.rule, &known.rule) => *known = one,
            Some(_) => {}
            None => shared.push(one),
        }
    }
    // The same order in every process.
    shared.sort_by_key(|shared| shared.dimension);
    shared
}

fn rule(limit: u64, window: Duration, saved: Duration) -> Rule {
    let burst = u128::from(limit) * saved.as_nanos() / window.as_nanos().max(1);
    Rule::rate(limit, window).burst(u64::try_from(burst).unwrap_or(limit).min(limit))
}

fn is_slower(one: &Rule, other: &Rule) -> bool {
    u128::from(one.amount) * other.per.as_nanos() < u128::from(other.amount) * one.per.as_nanos()
}

/// The name of what a key may do at an origin. The key is in it as a hash.
pub(crate) fn account_name(provider: &str, origin: &str, key: Option<&str>) -> String {
    let mut name = format!("{provider} {origin} ");
    match key {
        None => name.push('-'),
        Some(key) => {
            for byte in Sha256::digest(key.as_bytes()).iter().take(8) {
                let _ = write!(name, "{byte:02x}");
            }
        }
    }
    name
}

/// The scope of these rules. Which dimensions are counted is in its name: a process that does not know all limits yet must not
/// replace the rules of those that do.
pub(super) fn scope(name: &str, shared: &[Shared]) -> Scope {
    let mut name = name.to_owned();
    for Shared { dimension, rule } in shared {
        let _ = write!(name, " {dimension}/{}ms", rule.per.as_millis());
    }
    shared.iter().fold(Scope::new(&name), |scope, shared| scope.rule(shared.rule))
}
