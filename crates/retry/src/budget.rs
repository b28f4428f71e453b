use std::fmt;
#[cfg(not(outbound_loom))]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[cfg(outbound_loom)]
use loom::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[cfg(all(test, outbound_loom))]
mod tests;

/// A shared allowance for retries, so that a struggling server is not buried under them.
///
/// Each call pays in a share of a retry, and each retry takes a whole one out: with [`percent(10)`](Self::percent),
/// retries are at most one call in ten, beyond the reserve. A retry that cannot be paid for is not made. A hedge is paid
/// for as a retry is ([`Hedge::call_idempotent`](crate::Hedge::call_idempotent)).
///
/// | setter | default |
/// |---|---|
/// | [`reserve`](Self::reserve), there at the start | 10 retries |
/// | [`max`](Self::max), the most it holds | 100 retries |
///
/// It is a handle: clones share one balance. It is exact under any number of threads, takes no lock and reads no clock;
/// what it holds does not decay.
///
/// ```
/// use outbound_retry::Budget;
///
/// let budget = Budget::percent(50).reserve(0);
/// budget.deposit();
/// assert!(!budget.try_withdraw());
/// budget.deposit();
/// assert!(budget.try_withdraw());
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Account>);

struct Account {
    // In hundredths of a retry. Never above `max`.
    balance: AtomicU64,
    denied: AtomicU64,
    deposit: u64,
    max: u64,
}

/// What one retry costs, in the balance's unit.
const RETRY: u64 = 100;

impl Budget {
    /// So many retries for each hundred calls.
    pub fn percent(percent: u32) -> Self {
        Self::with(u64::from(percent), 10 * RETRY, 100 * RETRY)
    }

    /// How many retries it holds at the start. Set it before the budget is shared: it makes a new one.
    #[must_use = "it makes a new budget"]
    pub fn reserve(self, retries: u32) -> Self {
        Self::with(self.0.deposit, u64::from(retries) * RETRY, self.0.max)
    }

    /// How many retries it can hold, however long all went well. Set it before the budget is shared: it makes a new one.
    #[must_use = "it makes a new budget"]
    pub fn max(self, retries: u32) -> Self {
        Self::with(self.0.deposit, self.0.balance.load(Ordering::Relaxed), u64::from(retries) * RETRY)
    }

    fn with(deposit: u64, balance: u64, max: u64) -> Self {
        let balance = AtomicU64::new(balance.min(max));
        Self(Arc::new(Account { balance, denied: AtomicU64::new(0), deposit, max }))
    }

    /// Pays in for one call.
    #[inline]
    pub fn deposit(&self) {
        self.add(self.0.deposit);
    }

    /// Takes a retry out, or nothing and `false` where there is less than a whole one.
    pub fn try_withdraw(&self) -> bool {
        // Only the number matters and it orders no other memory, so `Relaxed` is enough.
        let mut balance = self.0.balance.load(Ordering::Relaxed);
        while let Some(rest) = balance.checked_sub(RETRY) {
            match self.0.balance.compare_exchange_weak(balance, rest, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => balance = seen,
            }
        }
        self.0.denied.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Puts a retry back that was taken out and not made.
    #[cold]
    pub fn refund(&self) {
        self.add(RETRY);
    }

    /// How many whole retries it holds now.
    pub fn available(&self) -> u64 {
        self.0.balance.load(Ordering::Relaxed) / RETRY
    }

    /// How many times a retry was refused.
    pub fn denied(&self) -> u64 {
        self.0.denied.load(Ordering::Relaxed)
    }

    #[inline]
    fn add(&self, amount: u64) {
        let mut balance = self.0.balance.load(Ordering::Relaxed);
        // A full budget is only read, so that calls that go well do not contend for it.
        while balance < self.0.max {
            // Both are far below the end of the range: `max` and `amount` come from a `u32`.
            let sum = (balance + amount).min(self.0.max);
            match self.0.balance.compare_exchange_weak(balance, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => balance = seen,
            }
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("available", &self.available())
            .field("denied", &self.denied())
            .finish()
    }
}
