//! The best possible time for a plan, computed with every draw known.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Uri};

use crate::{
    accounts::Accounts,
    answer,
    dialect::{Ask, Dialect},
    fault::Fault,
    plan::{Plan, Planned},
    provider::{Provider, Settings},
    quota::Cost,
    service,
};

/// What the best possible run of a [`Plan`] takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Oracle {
    /// From the start to the end of the last attempt; [`Duration::MAX`] if a limit forbids an item.
    pub time: Duration,
    /// Attempts it makes, those that fail included.
    pub attempts: usize,
}

/// One item as the oracle sees it.
struct Item {
    number: u64,
    ask: Ask,
    charge: Cost,
    /// The accounts it may count against, one for each key, and until when the key is valid.
    accounts: Vec<(usize, Option<Duration>)>,
}

/// An attempt on its way, ordered by its end.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Running {
    ends: Duration,
    index: usize,
    account: usize,
    attempt: u32,
    began: Duration,
    bill: Cost,
    is_done: bool,
}

pub(crate) fn best(
    provider: &Provider,
    bodies: &[Bytes],
    concurrency: usize,
    attempt_timeout: Duration,
) -> Oracle {
    let settings = &provider.settings;
    let Some(plan) = &settings.plan else { return Oracle::default() };
    let mut quotas = provider.untouched.clone();
    let items: Vec<Item> = bodies.iter().filter_map(|body| item(provider, plan, body)).collect();
    let mut fresh = 0..items.len();
    let mut retries = VecDeque::new();
    let mut running = BinaryHeap::<Reverse<Running>>::new();
    let (mut now, mut attempts, mut last) = (Duration::ZERO, 0, Duration::ZERO);
    loop {
        while running.peek().is_some_and(|Reverse(next)| next.ends <= now) {
            let Some(Reverse(over)) = running.pop() else { break };
            quotas.get(over.account).settle(over.ends, over.began, items[over.index].charge, over.bill);
            if !over.is_done {
                retries.push_back((over.index, over.attempt + 1));
            }
        }
        let next_end = running.peek().map(|Reverse(next)| next.ends);
        let next = retries.front().copied().or_else(|| fresh.clone().next().map(|index| (index, 1)));
        let (Some((index, attempt)), true) = (next, running.len() < concurrency.max(1)) else {
            let Some(next_end) = next_end else { break };
            now = next_end;
            continue;
        };
        if let Some(outage) = provider.outage_at(now) {
            now = next_end.map_or(outage.end, |next_end| next_end.min(outage.end));
            continue;
        }
        let item = &items[index];
        let account = match admit(&mut quotas, now, item) {
            Ok(account) => account,
            Err(room) => {
                // An attempt that ends earlier may give tokens back.
                let Some(next) = [room, next_end].into_iter().flatten().min() else {
                    return Oracle { time: Duration::MAX, attempts };
                };
                now = next;
                continue;
            }
        };
        if retries.pop_front().is_none() {
            fresh.next();
        }
        attempts += 1;
        let planned = plan.attempt(item.number, attempt);
        let (takes, bill, is_done) = run_of(settings, item, &planned, attempt_timeout);
        let ends = now.saturating_add(takes);
        last = last.max(ends);
        running.push(Reverse(Running { ends, index, account, attempt, began: now, bill, is_done }));
    }
    Oracle { time: last, attempts }
}

/// Admits an item with the first key that has room. Otherwise says when there may be room. `None`: never.
fn admit(quotas: &mut Accounts, now: Duration, item: &Item) -> Result<usize, Option<Duration>> {
    let mut room: Option<Duration> = None;
    for (account, until) in &item.accounts {
        if until.is_some_and(|until| until <= now) {
            continue;
        }
        let quotas = quotas.get(*account);
        match quotas.admit(now, item.charge) {
            Ok(()) => return Ok(*account),
            Err(over) => {
                let refilled = over.wait.map(|wait| now.saturating_add(wait));
                // Limits may change.
                room = [room, refilled, quotas.next_change()].into_iter().flatten().min();
            }
        }
    }
    Err(room)
}

fn item(provider: &Provider, plan: &Plan, body: &Bytes) -> Option<Item> {
    let number = plan.item_of(body)?;
    let json = serde_json::from_slice(body).ok()?;
    let ask = Dialect::OpenAi.parse(&Uri::default(), &HeaderMap::new(), &json).ok()?;
    let settings = &provider.settings;
    if !settings.serves(&ask.model) {
        return None;
    }
    let ask = service::count(settings, ask, number);
    let charge = service::charge(settings, provider.untouched.charging(), &ask, number);
    let untouched = &provider.untouched;
    let account = |key| untouched.index(key, Some(&ask.model)).unwrap_or(0);
    let accounts = if settings.keys.is_empty() {
        vec![(account(None), None)]
    } else {
        let keys = settings.keys.iter().enumerate();
        keys.map(|(index, key)| (account(Some(index)), key.settings.revoked_at)).collect()
    };
    Some(Item { number, ask, charge, accounts })
}

/// How long an attempt takes, what it is billed for, and whether it is the item's last one.
fn run_of(settings: &Settings, item: &Item, planned: &Planned, timeout: Duration) -> (Duration, Cost, bool) {
    let (_, output) = answer::length_of(&item.ask, settings.seed, item.number, &settings.output_tokens);
    let whole = Cost { input: item.ask.input_tokens, output };
    let unseen = if settings.bill_unseen { whole } else { Cost::default() };
    let (takes, bill, is_done) = match &planned.fault {
        None => (planned.latency, whole, true),
        Some(Fault::Refuse(_)) => (planned.latency, Cost::default(), planned.is_final),
        Some(Fault::Silence) => (timeout, unseen, false),
        Some(Fault::ResetBeforeHeaders) => (planned.latency, unseen, false),
        Some(Fault::Stall { .. }) => (timeout, whole, false),
        Some(_) => (planned.latency, whole, false),
    };
    if takes >= timeout {
        return (timeout, bill, false);
    }
    (takes, bill, is_done)
}
