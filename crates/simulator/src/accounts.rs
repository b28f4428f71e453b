//! Which quotas a request counts against: those of its key, or those of its model with this key.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    keys::KeySettings,
    models::ModelSettings,
    others::{OtherCalls, OtherUsers},
    quota::{Charging, Cost, Counting, Dimension, Quotas},
};

/// Limits per minute, at most one for each dimension.
pub(crate) type Limits = Vec<(Dimension, u64)>;

/// Sets the limit of a dimension, in place of an earlier one.
pub(crate) fn set(limits: &mut Limits, dimension: Dimension, limit: u64) {
    limits.retain(|(other, _)| *other != dimension);
    limits.push((dimension, limit));
}

/// The settings of every key and model that has none of its own.
#[derive(Debug)]
pub(crate) struct Common<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) changes: &'a [(Duration, f64)],
    pub(crate) counting: Counting,
    pub(crate) others: Option<&'a OtherUsers>,
    pub(crate) seed: u64,
}

/// One set of quotas for each key, and one for each key and each model that has limits of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    // For each key, or once for all requests where no key is listed: first its own quotas, then those of its models.
    quotas: Vec<Quotas>,
    // The position of a model's quotas behind those of its key, from 1.
    models: BTreeMap<String, usize>,
    keys: usize,
}

impl Accounts {
    pub(crate) fn new<'a>(
        common: &Common<'_>,
        keys: impl ExactSizeIterator<Item = &'a KeySettings>,
        models: &BTreeMap<String, ModelSettings>,
    ) -> Self {
        let count = keys.len();
        let own: Vec<_> = models.iter().filter(|(_, model)| model.has_account()).collect();
        let unlisted = KeySettings::new();
        let mut quotas = Vec::new();
        let mut push_key = |key: &KeySettings| {
            let limits = over(common.limits, &key.limits);
            let mut push = |limits, others: Option<&OtherUsers>| {
                let account = quotas.len();
                let others = others.map(|others| OtherCalls::new(others.clone(), common.seed, account));
                let changes = common.changes.to_vec();
                quotas.push(Quotas::new(limits, common.counting).with_changes(changes).with_others(others));
            };
            push(limits.clone(), key.others.as_ref().or(common.others));
            own.iter().for_each(|(_, model)| push(over(&limits, &model.limits), model.others.as_ref()));
        };
        if count == 0 {
            push_key(&unlisted);
        }
        keys.for_each(push_key);
        let models = own.iter().zip(1..).map(|((name, _), place)| ((*name).clone(), place)).collect();
        Self { quotas, models, keys: count }
    }

    /// The account of a request. `None`: keys are listed, and its key is not one of them.
    pub(crate) fn index(&self, key: Option<usize>, model: Option<&str>) -> Option<usize> {
        let key = if self.keys == 0 { 0 } else { key? };
        let place = model.and_then(|model| self.models.get(model)).copied().unwrap_or(0);
        Some(key * (1 + self.models.len()) + place)
    }

    pub(crate) fn get(&mut self, account: usize) -> &mut Quotas {
        &mut self.quotas[account]
    }

    /// The same without other users.
    pub(crate) fn without_others(&self) -> Self {
        let mut accounts = self.clone();
        accounts.quotas = accounts.quotas.into_iter().map(|quotas| quotas.with_others(None)).collect();
        accounts
    }

    /// How many calls of other users were admitted so far in all accounts, and what they took.
    pub(crate) fn taken_by_others(&mut self, now: Duration) -> (u64, Cost) {
        self.quotas.iter_mut().fold((0, Cost::default()), |(calls, sum), quotas| {
            let (more, cost) = quotas.taken_by_others(now);
            (calls + more, sum.plus(cost))
        })
    }

    pub(crate) fn charging(&self) -> Charging {
        self.quotas.first().map_or_else(Charging::default, Quotas::charging)
    }

    /// Each dimension that limits every account, with the sum of the limits per minute and the sum of what can be used at
    /// once. Later changes of the limits are left out.
    pub(crate) fn limits(&self) -> Vec<(Dimension, u64, f64)> {
        let mut sums = BTreeMap::<Dimension, (usize, u64, f64)>::new();
        for (dimension, limit, capacity) in self.quotas.iter().flat_map(Quotas::limits) {
            let (accounts, limits, capacities) = sums.entry(dimension).or_default();
            *accounts += 1;
            *limits = limits.saturating_add(limit);
            *capacities += capacity;
        }
        let of_all = sums.into_iter().filter(|(_, (accounts, ..))| *accounts == self.quotas.len());
        of_all.map(|(dimension, (_, limit, capacity))| (dimension, limit, capacity)).collect()
    }
}

/// The limits of a key or a model that has some of its own.
fn over(base: &Limits, own: &Limits) -> Limits {
    let mut limits = base.clone();
    own.iter().for_each(|(dimension, limit)| set(&mut limits, *dimension, *limit));
    limits
}
