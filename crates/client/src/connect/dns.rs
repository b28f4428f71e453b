//! Name look-up: the trait, the system's resolver, and a cache in which equal look-ups are shared.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;

use crate::origin::Origin;

/// A look-up that is under way. Dropping it cancels the look-up.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks up the names of origins for a [`Client`](crate::Client).
///
/// The addresses are tried in their order, with the two families in turn. If several dials need the same name at the
/// same time, the resolver is asked once. A host that is an address is never looked up. A closure from host and port
/// is a resolver too. Together with the system's resolver, it can give some hosts other addresses and other ports:
///
/// ```
/// use outbound_client::{Client, Resolve, Resolving, SystemResolver};
///
/// # fn main() -> Result<(), outbound_client::Error> {
/// let client = Client::builder()
///     .resolver(|host: &str, port: u16| -> Resolving {
///         match host {
///             "api.test" => Box::pin(async { Ok(vec![([127, 0, 0, 1], 8080).into()]) }),
///             _ => SystemResolver.resolve(host, port),
///         }
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub trait Resolve: Send + Sync + 'static {
    /// Starts a look-up. An empty list is an answer too: the name has no addresses.
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

impl<F, Fut> Resolve for F
where
    F: Fn(&str, u16) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        Box::pin(self(host, port))
    }
}

/// The system's resolver (`getaddrinfo`), on tokio's threads for blocking work. A look-up that is cancelled keeps its
/// thread until the system answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

pub(crate) type Addresses = Arc<[SocketAddr]>;

type LookUpResult = Result<Addresses, Arc<io::Error>>;
type Name = (Box<str>, u16);

/// A resolver behind a cache. All who need the same name at the same time share one look-up.
pub(crate) struct Dns {
    resolver: Box<dyn Resolve>,
    ttl: Duration,
    names: Mutex<BTreeMap<Name, Entry>>,
}

#[derive(Default)]
struct Entry {
    known: Option<Known>,
    /// The look-up that is under way. It lives as long as somebody waits for it.
    look_up: Weak<LookUp>,
}

struct Known {
    addresses: Addresses,
    since: Instant,
}

/// Whoever holds the lock drives the look-up. If that task stops waiting, the next one continues the same look-up.
#[derive(Default)]
struct LookUp(tokio::sync::Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    New,
    Running(Resolving),
    Done(LookUpResult),
}

impl Dns {
    /// The system does not tell how long an answer is valid.
    pub(crate) const TTL: Duration = Duration::from_secs(30);
    /// An answer up to this age is better than none: look-ups often fail for a short time, and addresses rarely
    /// change.
    const MAX_STALE: Duration = Duration::from_secs(600);
    const MAX_NAMES: usize = 1024;

    pub(crate) fn new(resolver: Box<dyn Resolve>, ttl: Duration) -> Self {
        Self { resolver, ttl, names: Mutex::default() }
    }

    pub(crate) async fn look_up(&self, origin: &Origin) -> io::Result<Addresses> {
        let name = name(origin);
        let look_up = {
            let mut names = self.lock();
            self.make_room(&mut names, &name);
            let entry = names.entry(name.clone()).or_default();
            match &entry.known {
                Some(known) if known.since.elapsed() < self.ttl => return Ok(known.addresses.clone()),
                _ => {}
            }
            entry.look_up.upgrade().unwrap_or_else(|| {
                let new = Arc::<LookUp>::default();
                entry.look_up = Arc::downgrade(&new);
                new
            })
        };
        self.drive(&look_up, name).await.map_err(|error| io::Error::new(error.kind(), error))
    }

    /// These addresses could not be connected to, so they are dropped from the cache.
    pub(crate) fn forget(&self, origin: &Origin, addresses: &Addresses) {
        if let Some(entry) = self.lock().get_mut(&name(origin)) {
            entry.known.take_if(|known| Arc::ptr_eq(&known.addresses, addresses));
        }
    }

    /// Every name is looked up again.
    pub(crate) fn forget_all(&self) {
        // Look-ups that are under way continue for those who wait for them. Their results are not kept.
        self.lock().values_mut().for_each(|entry| *entry = Entry::default());
    }

    async fn drive(&self, look_up: &LookUp, name: Name) -> LookUpResult {
        let mut state = look_up.0.lock().await;
        if let State::New = *state {
            *state = State::Running(self.resolver.resolve(&name.0, name.1));
        }
        if let State::Running(resolving) = &mut *state {
            let answer = resolving.await;
            *state = State::Done(self.learn(look_up, name, answer));
        }
        match &*state {
            State::Done(answer) => answer.clone(),
            State::New | State::Running(_) => unreachable!("the look-up was just finished"),
        }
    }

    /// Turns an answer into the result for the waiters. Failures are not kept: the next dial asks again.
    fn learn(&self, look_up: &LookUp, name: Name, answer: io::Result<Vec<SocketAddr>>) -> LookUpResult {
        let mut names = self.lock();
        // If this is not the current look-up of the name, its entry was dropped in the meantime: see `forget_all`.
        let is_kept = names.get(&name).is_some_and(|entry| ptr::eq(entry.look_up.as_ptr(), look_up));
        match answer {
            Ok(addresses) if !addresses.is_empty() && !is_kept => Ok(Addresses::from(addresses)),
            Err(error) if !is_kept => Err(Arc::new(error)),
            Ok(addresses) if addresses.is_empty() => {
                if is_kept {
                    names.remove(&name);
                }
                Err(Arc::new(io::Error::new(io::ErrorKind::NotFound, "the name has no addresses")))
            }
            Ok(addresses) => {
                let addresses = Addresses::from(addresses);
                let known = Known { addresses: addresses.clone(), since: Instant::now() };
                names.entry(name).or_default().known = Some(known);
                Ok(addresses)
            }
            Err(error) => {
                let known = names.get(&name).and_then(|entry| entry.known.as_ref());
                let stale = self.max_age();
                if let Some(known) = known.filter(|known| known.since.elapsed() < stale) {
                    return Ok(known.addresses.clone());
                }
                names.remove(&name);
                Err(Arc::new(error))
            }
        }
    }

    /// Until when an old answer is used if a new look-up fails. Never, if answers are not kept.
    fn max_age(&self) -> Duration {
        if self.ttl.is_zero() { Duration::ZERO } else { self.ttl.max(Self::MAX_STALE) }
    }

    /// Above the bound, names that nobody waits for are dropped; if there are none, the oldest one.
    fn make_room(&self, names: &mut BTreeMap<Name, Entry>, name: &Name) {
        if names.len() < Self::MAX_NAMES || names.contains_key(name) {
            return;
        }
        names.retain(|_, entry| {
            let fresh = entry.known.as_ref().is_some_and(|known| known.since.elapsed() < self.ttl);
            fresh || entry.look_up.strong_count() > 0
        });
        if names.len() >= Self::MAX_NAMES {
            let age = |entry: &Entry| entry.known.as_ref().map(|known| known.since);
            let oldest = names.iter().filter(|(_, entry)| entry.known.is_some()).min_by_key(|(_, e)| age(e));
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                names.remove(&oldest);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(origin: &Origin) -> Name {
    (origin.host().into(), origin.port())
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns")
            .field("ttl", &self.ttl)
            .field("names", &self.lock().len())
            .finish_non_exhaustive()
    }
}
