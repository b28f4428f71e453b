//! The rules of a shared quota, and the name by which all processes know it.

use std::{fmt::Write as _, time::Duration};

use outbound_limiter::{DimensionSnapshot, QuotaDimension};
use sha2::{Digest, Sha256};

use crate::quota_store::{Rule, Scope};

/// Limits with a longer window stay with each process: what one holds of a day would be lost for hours with it.
const LONGEST_WINDOW: Duration = Duration::from_secs(300);

/// How much can be saved up: what comes in during this time.
///
/// Measured against a provider that holds one second's worth, with four processes and an outage of five seconds: with 1 s at most
/// 1 request in 1,000 is refused, with 1.25 s 3, with 1.5 s 24, with 2 s 185, and with a whole window all that the others hold.
/// But a chunk is a tenth of it, and a process asks ten times a second at most: alone it reaches 0.83 of the rate with 1 s, and
/// 0.98 with 1.25 s.
const BURST: Duration = Duration::from_millis(1_250);

/// A limit that all processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) dimension: QuotaDimension,
    pub(super) rule: Rule,
}

/// The limits to share: of each dimension the one with the lowest rate. What was only learnt from refusals is an estimate of
/// what this process gets, and no limit of all.
pub(super) fn shared(dimensions: &[DimensionSnapshot]) -> Vec<Shared> {
    let limits = dimensions.iter().filter(|limit| {
        !limit.learned && limit.limit > 0 && !limit.window.is_zero() && limit.window <= LONGEST_WINDOW
    });
    let mut shared: Vec<Shared> = Vec::new();
    for limit in limits {
        let one = Shared { dimension: limit.dimension, rule: rule(limit.limit, limit.window) };
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

fn rule(limit: u64, window: Duration) -> Rule {
    let burst = u128::from(limit) * BURST.as_nanos() / window.as_nanos().max(1);
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
