//! One limiter for each key.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{ConcurrencyLimiter, QuotaLimiter, RateLimiter};

/// Below this many keys idle limiters are not searched for.
const FEW: usize = 64;

/// One limiter for each key (a host, a model, a tenant), made when it is first asked for.
///
/// Cloning gives another handle to the same limiters. The limits may differ by key. What [`get`](Self::get) returns is a
/// handle of the limiter itself, which can be kept for any time.
///
/// # Keys that come and go
///
/// A limiter is forgotten only where that changes nothing: there is no other handle, no permit and no waiting request,
/// nothing is in use or owed, its buckets are full and its gate is open. A new limiter would then admit the same requests.
/// (Changes by `resize` or `set_rate` are forgotten with it.)
///
/// Idle limiters are searched for whenever the number of keys has doubled, and by [`forget_idle`](Self::forget_idle). So
/// there are at most twice as many limiters as are in use, and the average cost of a call is constant.
///
/// ```
/// use outbound_limiter::{Keyed, Rate, RateLimiter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let hosts = Keyed::new(|host: &String| {
///     RateLimiter::new(Rate::per_second(if host == "slow.example" { 1 } else { 20 }))
/// });
/// hosts.get("slow.example").acquire(1).await;
/// # }
/// ```
pub struct Keyed<K, L> {
    shared: Arc<Shared<K, L>>,
}

struct Shared<K, L> {
    make: Box<dyn Fn(&K) -> L + Send + Sync>,
    map: Mutex<Map<K, L>>,
}

struct Map<K, L> {
    limiters: HashMap<K, L>,
    /// The number of keys at which idle limiters are searched for again.
    look_at: usize,
}

/// A limiter that a [`Keyed`] can hold: all limiters of this crate.
pub trait KeyedLimiter: Clone + Send + Sync + sealed::Idle {}

pub(crate) mod sealed {
    use std::collections::HashMap;

    pub trait Idle {
        /// Whether this is the only handle, and forgetting the limiter would change nothing.
        fn is_idle(&self) -> bool;
    }

    /// A key by value.
    #[derive(Debug)]
    pub enum ByValue {}

    /// A borrowed key.
    #[derive(Debug)]
    pub enum Borrowed {}

    pub trait Find<K, By> {
        fn find<'a, L>(&self, limiters: &'a HashMap<K, L>) -> Option<&'a L>;
        fn into_key(self) -> K;
    }
}

impl KeyedLimiter for ConcurrencyLimiter {}
impl KeyedLimiter for RateLimiter {}
impl KeyedLimiter for QuotaLimiter {}

impl<K: Hash + Eq, L: KeyedLimiter> Keyed<K, L> {
    /// A set without limiters. `make` makes the limiter of a key. It is called outside of any lock. If two calls make a
    /// limiter for the same key at the same time, one of the two is dropped unused.
    pub fn new(make: impl Fn(&K) -> L + Send + Sync + 'static) -> Self {
        let map = Map { limiters: HashMap::new(), look_at: FEW };
        Self { shared: Arc::new(Shared { make: Box::new(make), map: Mutex::new(map) }) }
    }

    /// The limiter of a key. The key is given by value or borrowed: `get(7)`, `get(Model::Large)`, `get("a.example")`,
    /// `get(&host)`. A borrowed key is cloned if it is new.
    pub fn get<By>(&self, key: impl Key<K, By>) -> L {
        if let Some(limiter) = key.find(&self.map().limiters) {
            return limiter.clone();
        }
        let key = key.into_key();
        let made = (self.shared.make)(&key);
        let mut map = self.map();
        let limiter = map.limiters.entry(key).or_insert(made).clone();
        // The limiter of this call has two handles now, so it is not forgotten.
        if map.limiters.len() >= map.look_at {
            map.forget_idle();
        }
        limiter
    }

    /// Forgets all idle limiters, and returns how many there were.
    pub fn forget_idle(&self) -> usize {
        self.map().forget_idle()
    }

    /// How many keys have a limiter.
    pub fn len(&self) -> usize {
        self.map().limiters.len()
    }

    /// Whether no key has a limiter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn map(&self) -> MutexGuard<'_, Map<K, L>> {
        self.shared.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Keyed::get`] takes: a `K` by value, or a reference to what `K` borrows as, such as a `&str` for a `String`.
///
/// `By` says which of the two it is. The compiler infers it.
pub trait Key<K, By>: sealed::Find<K, By> {}

impl<K, By, Q: sealed::Find<K, By>> Key<K, By> for Q {}

impl<K: Hash + Eq> sealed::Find<K, sealed::ByValue> for K {
    fn find<'a, L>(&self, limiters: &'a HashMap<K, L>) -> Option<&'a L> {
        limiters.get(self)
    }

    fn into_key(self) -> K {
        self
    }
}

impl<K, Q> sealed::Find<K, sealed::Borrowed> for &Q
where
    K: Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
{
    fn find<'a, L>(&self, limiters: &'a HashMap<K, L>) -> Option<&'a L> {
        limiters.get(*self)
    }

    fn into_key(self) -> K {
        self.to_owned()
    }
}

impl<K: Hash + Eq, L: KeyedLimiter> Map<K, L> {
    fn forget_idle(&mut self) -> usize {
        let before = self.limiters.len();
        // New handles are given out under this lock only, so none can appear during the search.
        self.limiters.retain(|_, limiter| !limiter.is_idle());
        self.look_at = (2 * self.limiters.len()).max(FEW);
        before - self.limiters.len()
    }
}

impl<K, L> Clone for Keyed<K, L> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, L> fmt::Debug for Keyed<K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let map = self.shared.map.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Keyed").field("keys", &map.limiters.len()).finish_non_exhaustive()
    }
}
