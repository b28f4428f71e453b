//! One send, from the moment when it has been read until it ends in any way.

use std::sync::Arc;

use crate::{
    connection::Busy,
    draw,
    fault::Fault,
    ledger::{Entry, Outcome, Seen},
    provider::{Identity, Provider},
    quota::{Cost, OverQuota, Standing},
};

/// Keeps the ledger and the quotas right. The reply may be sent, broken, or dropped because the client left: in each case
/// the entry is closed, the estimate settled and the slot freed exactly once.
#[derive(Debug)]
pub(crate) struct Exchange {
    provider: Arc<Provider>,
    // Its connection, until it is over.
    busy: Option<Busy>,
    // Index of its entry in the ledger.
    index: usize,
    // Which quotas it counts against.
    account: Option<usize>,
    /// What was taken from the quotas, if it was admitted.
    estimate: Option<Cost>,
    bill: Cost,
    breaks: bool,
}

impl Exchange {
    /// Enters a send into the ledger and, if it has an estimate, asks the quotas for it: all in one step, so that
    /// the number of the attempt and the order of admission agree on several threads too.
    pub(crate) fn begin(
        provider: Arc<Provider>,
        busy: Busy,
        mut seen: Seen,
        estimate: Option<Cost>,
    ) -> (Self, Seen, Result<(), OverQuota>) {
        let mut guard = provider.state();
        let state = &mut *guard;
        let identity = match (seen.item, &seen.idempotency_key) {
            (Some(item), _) => (Identity::Item, item),
            (None, Some(key)) => (Identity::Key, draw::hash(key.as_bytes())),
            (None, None) => (Identity::Body, seen.body_hash),
        };
        seen.at = provider.now();
        seen.sequence = state.ledger.entries.len() as u64;
        seen.attempt = state.attempts.get(&identity).map_or(1, |attempts| attempts.saturating_add(1));
        let account = state.quotas.index(seen.key, seen.model.as_deref());
        let admission = match (account, estimate) {
            (Some(account), Some(cost)) => state.quotas.get(account).admit(seen.at, cost),
            _ => Ok(()),
        };
        let estimate = estimate.filter(|_| admission.is_ok());
        if estimate.is_some() {
            state.attempts.insert(identity, seen.attempt);
        }
        state.in_flight += 1;
        state.ledger.peak_concurrency = state.ledger.peak_concurrency.max(state.in_flight);
        let index = state.ledger.entries.len();
        state.ledger.entries.push(Entry {
            seen: seen.clone(),
            fault: None,
            outcome: Outcome::Pending,
            ended: None,
            input_tokens: 0,
            output_tokens: 0,
            account,
            estimate,
            next_at_end: u64::MAX,
        });
        drop(guard);
        let bill = Cost::default();
        (Self { provider, busy: Some(busy), index, account, estimate, bill, breaks: false }, seen, admission)
    }

    pub(crate) fn shared(&self) -> Arc<Provider> {
        Arc::clone(&self.provider)
    }

    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// What is left of its quotas. Empty if there are none.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        let mut state = self.provider.state();
        self.account.map_or_else(Vec::new, |account| state.quotas.get(account).standings(self.provider.now()))
    }

    /// Notes the fault that will strike it.
    pub(crate) fn strike(&mut self, fault: &Fault) {
        self.breaks = fault.breaks();
        self.provider.state().ledger.entries[self.index].fault = Some(fault.clone());
    }

    /// Sets what will be billed at the end.
    pub(crate) fn bill(&mut self, input: u64, output: u64) {
        self.bill = Cost { input, output };
    }

    /// This many more tokens of the answer have left.
    pub(crate) fn bill_tokens(&mut self, tokens: u64) {
        self.bill.output += tokens;
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        let Some(busy) = self.busy.take() else { return };
        let mut guard = self.provider.state();
        let state = &mut *guard;
        let now = self.provider.now();
        state.in_flight -= 1;
        if let (Some(account), Some(estimate)) = (self.account, self.estimate) {
            let taken = state.ledger.entries[self.index].seen.at;
            state.quotas.get(account).settle(now, taken, estimate, self.bill);
        }
        let next = state.ledger.entries.len() as u64;
        let entry = &mut state.ledger.entries[self.index];
        entry.outcome = outcome;
        entry.ended = Some(now);
        entry.next_at_end = next;
        entry.input_tokens = self.bill.input;
        entry.output_tokens = self.bill.output;
        drop(guard);
        drop(busy);
    }

    /// Makes the connection end with a reset in place of a close.
    pub(crate) fn reset_connection(&mut self) {
        self.busy.iter().for_each(Busy::reset_at_end);
        self.end(Outcome::Broken);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end(if self.breaks { Outcome::Broken } else { Outcome::Abandoned });
    }
}
