//! A budget: how many retries all calls together may make.

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

/// A shared allowance for retries, so that they do not overload a server that already has trouble.
///
/// Each call pays a share of a retry into the budget, and each retry takes a whole one out. With
/// [`percent(10)`](Self::percent) there is at most one retry for ten calls, beyond the reserve. A retry that the budget
/// cannot pay for is not made. A hedge is paid for in the same way as a retry
/// ([`Hedge::call_idempotent`](crate::Hedge::call_idempotent)).
///
/// | setter | default |
/// |---|---|
/// | [`reserve`](Self::reserve): what it holds at the start | 10 retries |
/// | [`max`](Self::max): the most that it can hold | 100 retries |
///
/// It is a handle: clones share one balance. It is exact with any number of threads. It takes no lock and reads no clock.
/// What it holds does not expire.
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
pub struct Budget(Arc<Balance>);

struct Balance {
    // In hundredths of a retry, as `deposit` and `max` are. Never above `max`.
    available: AtomicU64,
    denied: AtomicU64,
    deposit: u64,
    max: u64,
}

/// The price of one retry, in the unit of the balance.
const RETRY: u64 = 100;

impl Budget {
    /// This many retries for each hundred calls.
    pub fn percent(percent: u32) -> Self {
        Self::with(u64::from(percent), 10 * RETRY, 100 * RETRY)
    }

    /// How many retries it holds at the start. Set it before the budget is shared, because it makes a new budget.
    #[must_use = "it makes a new budget"]
    pub fn reserve(self, retries: u32) -> Self {
        Self::with(self.0.deposit, u64::from(retries) * RETRY, self.0.max)
    }

    /// The most retries that it can hold, however many calls pay in. Set it before the budget is shared, because it makes
    /// a new budget.
    #[must_use = "it makes a new budget"]
    pub fn max(self, retries: u32) -> Self {
        Self::with(self.0.deposit, self.0.available.load(Ordering::Relaxed), u64::from(retries) * RETRY)
    }

    fn with(deposit: u64, balance: u64, max: u64) -> Self {
        let available = AtomicU64::new(balance.min(max));
        Self(Arc::new(Balance { available, denied: AtomicU64::new(0), deposit, max }))
    }

    /// Pays in for one call.
    #[inline]
    pub fn deposit(&self) {
        self.add(self.0.deposit);
    }

    /// Takes one retry out. Where it holds less than one, it takes nothing and returns `false`.
    pub fn try_withdraw(&self) -> bool {
        // The number orders no other memory, so `Relaxed` is enough.
        let mut balance = self.0.available.load(Ordering::Relaxed);
        while let Some(rest) = balance.checked_sub(RETRY) {
            match self.0.available.compare_exchange_weak(balance, rest, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(seen) => balance = seen,
            }
        }
        self.0.denied.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Puts back one retry that was taken out and not made.
    #[cold]
    pub fn refund(&self) {
        self.add(RETRY);
    }

    /// How many whole retries it holds now.
    pub fn available(&self) -> u64 {
        self.0.available.load(Ordering::Relaxed) / RETRY
    }

    /// How many times a retry was refused.
    pub fn denied(&self) -> u64 {
        self.0.denied.load(Ordering::Relaxed)
    }

    #[inline]
    fn add(&self, amount: u64) {
        let mut balance = self.0.available.load(Ordering::Relaxed);
        // A full budget is only read, so that successful calls do not contend for it.
        while balance < self.0.max {
            // This cannot overflow: `max` and `amount` come from a `u32`.
            let sum = (balance + amount).min(self.0.max);
            match self.0.available.compare_exchange_weak(balance, sum, Ordering::Relaxed, Ordering::Relaxed) {
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
