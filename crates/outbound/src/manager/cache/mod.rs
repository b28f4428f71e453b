//! The response cache.

mod folder;
mod key;
mod memory;

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::header::SET_COOKIE;

pub(crate) use self::key::Key;
use self::{folder::Folder, memory::Memory};
use super::reply::Reply;

/// A cache of answers, so that the same request is paid for once. Given to
/// [`RequestManagerBuilder::cache`](crate::RequestManagerBuilder::cache). Cloning returns another handle to the same
/// answers, for another manager.
///
/// Two requests are the same if they have the same address, method, path, headers and body, byte for byte. API keys do
/// not count. Only answers are kept, never errors. No answer is kept to a request that is
/// [fresh](crate::Request::fresh), that has another method than `GET` or `POST`, or that is a `POST` of anything but
/// JSON. Cookies of an answer are not kept.
///
/// ```
/// use std::time::Duration;
/// use outbound::{RequestManager, ResponseCache};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = ResponseCache::folder("answers").max_age(Duration::from_secs(7 * 24 * 3600));
/// let manager = RequestManager::builder().cache(cache).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ResponseCache {
    store: Store,
    max_age: Option<Duration>,
}

#[derive(Clone)]
enum Store {
    Memory(Arc<Memory>),
    Folder(Folder),
}

impl ResponseCache {
    /// Keeps answers in memory, up to this many bytes in all. The least recently used one is dropped first.
    pub fn memory(most_bytes: usize) -> Self {
        Self { store: Store::Memory(Arc::new(Memory::new(most_bytes))), max_age: None }
    }

    /// Keeps answers in a folder, which is created with the first one. Several processes may share it. Nothing deletes
    /// files, so delete them yourself at any time. On Unix only the owner may read them.
    ///
    /// A file that cannot be read or written, or that is damaged, counts as a missing answer. A failure to read or
    /// write is logged.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { store: Store::Folder(Folder::new(path.into())), max_age: None }
    }

    /// How long an answer is used, by the manager's wall clock. Default: for ever.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    pub(crate) async fn find(&self, key: Key, now: SystemTime) -> Option<Reply> {
        let (reply, since) = match &self.store {
            Store::Memory(memory) => memory.find(key),
            Store::Folder(folder) => {
                let folder = folder.clone();
                tokio::task::spawn_blocking(move || folder.find(key)).await.ok()?
            }
        }?;
        // If the clock was set back, the answer counts as new.
        let age = now.duration_since(since).unwrap_or_default();
        self.max_age.is_none_or(|most| age <= most).then_some(reply)
    }

    pub(crate) async fn keep(&self, key: Key, reply: &Reply, now: SystemTime) {
        let mut reply = reply.clone();
        reply.headers.remove(SET_COOKIE);
        match &self.store {
            Store::Memory(memory) => memory.keep(key, reply, now),
            Store::Folder(folder) => {
                let folder = folder.clone();
                // The write goes on to its end even if the request is aborted now.
                drop(tokio::task::spawn_blocking(move || folder.keep(key, &reply, now)).await);
            }
        }
    }
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = match &self.store {
            Store::Memory(_) => "memory",
            Store::Folder(_) => "folder",
        };
        f.debug_struct("ResponseCache").field("store", &store).field("max_age", &self.max_age).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    #[tokio::test]
    async fn an_answer_is_good_to_the_end_of_its_age_and_has_no_cookies() {
        let (key, now) = (Key([7; 32]), SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let dir = tempfile::tempdir().expect("a folder");
        for cache in [ResponseCache::memory(1 << 20), ResponseCache::folder(dir.path())] {
            let cache = cache.max_age(Duration::from_secs(60));
            let mut headers = HeaderMap::new();
            headers.insert(SET_COOKIE, HeaderValue::from_static("session=canary"));
            headers.insert("x-other", HeaderValue::from_static("kept"));
            let reply = Reply { status: StatusCode::OK, headers, body: "{}".into() };
            cache.keep(key, &reply, now).await;
            let found = cache.find(key, now + Duration::from_secs(60)).await.expect("still good");
            assert!(!found.headers.contains_key(SET_COOKIE) && found.headers.contains_key("x-other"));
            assert!(cache.find(key, now + Duration::from_secs(61)).await.is_none());
            assert!(cache.find(key, now - Duration::from_secs(99)).await.is_some(), "a clock set back");
        }
    }
}
