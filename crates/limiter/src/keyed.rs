//! One limiter for each key.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{ConcurrencyLimiter, QuotaLimiter, RateLimiter};

/// Below this many keys nothing is looked through.
const FEW: usize = 64;

/// One limiter for each key (a host, a model, a tenant), made when it is first asked for.
///
/// Cloning gives another handle to the same limiters. What is made may differ by key, and is the limiter itself: its
/// handle may be kept for as long as one likes.
///
/// # Keys that come and go
///
/// A limiter is forgotten only when nobody could tell: nobody else has a handle, a permit or a place in its line; nothing
/// is in use or owed, its buckets are full and its gate is open. One that was made anew would let through the same.
/// (What was changed since it was made, by `resize` or `set_rate`, is forgotten with it.)
///
/// That is looked for whenever the number of keys has doubled, or by [`forget_idle`](Self::forget_idle). So memory
/// stays within twice what is in use, and a call costs a constant on average.
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
    /// Look for idle ones at this many.
    look_at: usize,
}

/// A limiter that a [`Keyed`] can hold: all of this crate's.
pub trait KeyedLimiter: Clone + Send + Sync + sealed::Idle {}

pub(crate) mod sealed {
    use std::collections::HashMap;

    pub trait Idle {
        /// Whether this is the only handle, and forgetting it would change nothing.
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
    /// No limiters yet, and how to make one. It is made outside of any lock; of two made at the same time for the same
    /// key, one is dropped unused.
    pub fn new(make: impl Fn(&K) -> L + Send + Sync + 'static) -> Self {
        let map = Map { limiters: HashMap::new(), look_at: FEW };
        Self { shared: Arc::new(Shared { make: Box::new(make), map: Mutex::new(map) }) }
    }

    /// The limiter of a key, which is given by value or borrowed: `get(7)`, `get(Model::Large)`, `get("a.example")`,
    /// `get(&host)`. A borrowed key is made an owned one when it is new.
    pub fn get<By>(&self, key: impl Key<K, By>) -> L {
        if let Some(limiter) = key.find(&self.map().limiters) {
            return limiter.clone();
        }
        let key = key.into_key();
        let made = (self.shared.make)(&key);
        let mut map = self.map();
        let limiter = map.limiters.entry(key).or_insert(made).clone();
        // The one just asked for has two handles, so it stays.
        if map.limiters.len() >= map.look_at {
            map.forget_idle();
        }
        limiter
    }

    /// Forgets all that are idle, and says how many.
    pub fn forget_idle(&self) -> usize {
        self.map().forget_idle()
    }

    /// How many keys have a limiter.
    pub fn len(&self) -> usize {
        self.map().limiters.len()
    }

    /// Whether no key has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn map(&self) -> MutexGuard<'_, Map<K, L>> {
        self.shared.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Keyed::get`] takes: a `K` by value, or a reference to what `K` borrows as, such as a `&str` for a `String`.
///
/// Which of the two it is, `By` says; it is inferred.
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
        // A handle comes from here only, under this lock: nobody can get one in between.
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
