//! Storage of cookies by domain, within bounds.

#[cfg(test)]
mod tests;

use std::{cell::Cell, cmp::Reverse, collections::BTreeMap};

use super::{
    cookie::Cookie,
    rules::{Initiator, domain_matches, is_address, path_matches},
};
use crate::origin::Origin;

/// Cookies by their domain, within bounds.
#[derive(Default)]
pub(super) struct Jar {
    domains: BTreeMap<String, Vec<Entry>>,
    count: usize,
    // Counts the operations, so that their order is known.
    turn: u64,
}

struct Entry {
    cookie: Cookie,
    created: u64,
    // The only part that sending changes: when the cookie was last sent.
    used: Cell<u64>,
}

impl Jar {
    pub(super) const MAX_PER_DOMAIN: usize = 50;
    pub(super) const MAX: usize = 3000;

    /// Adds a cookie, in place of the one that it replaces. Returns whether this is allowed.
    pub(super) fn put(&mut self, cookie: Cookie, from_https: bool, now: i64) -> bool {
        if !from_https && !cookie.secure && self.has_secure(&cookie, now) {
            return false;
        }
        self.turn += 1;
        let turn = self.turn;
        let entries = self.domains.entry(cookie.domain.clone()).or_default();
        let place = entries.iter().position(|entry| entry.cookie.is_same(&cookie));
        let has_expired = cookie.has_expired(now);
        match place {
            Some(place) if has_expired => {
                entries.remove(place);
                self.count -= 1;
            }
            Some(place) => {
                let created = entries[place].created;
                entries[place] = Entry { cookie, created, used: Cell::new(turn) };
            }
            None if has_expired => {}
            None => {
                entries.push(Entry { cookie, created: turn, used: Cell::new(turn) });
                self.count += 1;
                if entries.len() > Self::MAX_PER_DOMAIN {
                    self.count -= make_room(entries, now);
                }
            }
        }
        if self.count > Self::MAX {
            self.make_room(now);
        }
        self.domains.retain(|_, entries| !entries.is_empty());
        true
    }

    /// Whether a cookie from an `http` origin would hide a secure cookie.
    fn has_secure(&self, cookie: &Cookie, now: i64) -> bool {
        let hides = |entry: &Entry| {
            let other = &entry.cookie;
            other.secure
                && other.name == cookie.name
                && !other.has_expired(now)
                && path_matches(&cookie.path, &other.path)
        };
        let related =
            |domain: &str| domain_matches(domain, &cookie.domain) || domain_matches(&cookie.domain, domain);
        self.domains.iter().any(|(domain, entries)| related(domain) && entries.iter().any(hides))
    }

    /// The cookies for a path of an origin, after those of the request itself.
    pub(super) fn header(
        &mut self,
        origin: &Origin,
        path: &str,
        initiator: Initiator,
        own: &[u8],
        now: i64,
    ) -> Option<Vec<u8>> {
        let host = origin.host();
        self.turn += 1;
        let mut found: Vec<(Reverse<usize>, u64, &Cookie)> = Vec::new();
        for domain in host_and_parents(host) {
            for entry in self.domains.get(domain).into_iter().flatten() {
                let cookie = &entry.cookie;
                let goes = (domain == host || !cookie.host_only)
                    && (origin.is_https() || !cookie.secure)
                    && path_matches(path, &cookie.path)
                    && initiator.gets(cookie)
                    && !cookie.has_expired(now)
                    && !has_pair(own, &cookie.name);
                if goes {
                    entry.used.set(self.turn);
                    found.push((Reverse(cookie.path.len()), entry.created, cookie));
                }
            }
        }
        if found.is_empty() {
            return None;
        }
        found.sort_unstable_by_key(|(length, created, _)| (*length, *created));
        let mut header = own.to_vec();
        for (.., cookie) in found {
            if !header.is_empty() {
                header.extend_from_slice(b"; ");
            }
            if !cookie.name.is_empty() {
                header.extend_from_slice(cookie.name.as_bytes());
                header.push(b'=');
            }
            header.extend_from_slice(cookie.value.as_bytes());
        }
        Some(header)
    }

    pub(super) fn cookies(&self, now: i64) -> Vec<Cookie> {
        let mut entries: Vec<_> = self.domains.values().flatten().collect();
        entries.retain(|entry| !entry.cookie.has_expired(now));
        entries.sort_unstable_by_key(|entry| entry.created);
        entries.into_iter().map(|entry| entry.cookie.clone()).collect()
    }

    pub(super) fn remove(&mut self, cookie: &Cookie) -> bool {
        let Some(entries) = self.domains.get_mut(&cookie.domain) else { return false };
        let before = entries.len();
        entries.retain(|entry| !entry.cookie.is_same(cookie));
        let removed = before - entries.len();
        if entries.is_empty() {
            self.domains.remove(&cookie.domain);
        }
        self.count -= removed;
        removed > 0
    }

    /// Drops expired cookies. If that is not enough, drops the cookie that was not used for the longest time.
    fn make_room(&mut self, now: i64) {
        for entries in self.domains.values_mut() {
            entries.retain(|entry| !entry.cookie.has_expired(now));
        }
        self.count = self.domains.values().map(Vec::len).sum();
        while self.count > Self::MAX {
            let oldest = |entries: &Vec<Entry>| entries.iter().map(|entry| entry.used.get()).min();
            let Some(entries) = self.domains.values_mut().min_by_key(|entries| oldest(entries)) else {
                return;
            };
            let Some(used) = oldest(entries) else { return };
            let before = entries.len();
            entries.retain(|entry| entry.used.get() != used);
            self.count -= before - entries.len();
        }
    }
}

/// The same for one domain. Returns how many are dropped.
fn make_room(entries: &mut Vec<Entry>, now: i64) -> usize {
    let before = entries.len();
    entries.retain(|entry| !entry.cookie.has_expired(now));
    if entries.len() > Jar::MAX_PER_DOMAIN {
        let oldest = (0..entries.len()).min_by_key(|&index| {
            let entry = &entries[index];
            (entry.cookie.secure, entry.used.get())
        });
        oldest.into_iter().for_each(|index| drop(entries.remove(index)));
    }
    before - entries.len()
}

/// A host, and all domains above it. An address has none.
fn host_and_parents(host: &str) -> impl Iterator<Item = &str> {
    let has_parents = !is_address(host);
    std::iter::successors(Some(host), move |domain| {
        domain.split_once('.').filter(|_| has_parents).map(|(_, parent)| parent)
    })
}

/// Whether a `cookie` header contains a cookie with this name.
fn has_pair(header: &[u8], name: &str) -> bool {
    header.split(|byte| *byte == b';').any(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let own = if second.is_some() { first } else { b"" };
        !pair.is_empty() && own.trim_ascii() == name.as_bytes()
    })
}
