//! The ids of the lines. No two may be equal, and a line without an id gets one that is made from what it sends.

use std::hash::{BuildHasher, RandomState};

use super::record::{Place, Wrong};

/// The ids so far. It is the only thing that grows with the number of lines, by 19 to 24 bytes for each: without it a repeated
/// id could not be found. Equal lines without ids share one entry.
pub(super) struct Ids {
    hashers: [RandomState; 2],
    seen: Vec<Table>,
}

/// An id, before it is hashed.
#[derive(Hash)]
enum Name<'a> {
    Given(&'a str),
    /// All ids that were made from one fingerprint.
    Made(u64),
}

/// 96 bits of a keyed hash, so long that two ids are not taken for one; then a number, see [`Ids::get`]. All zero: empty.
type Slot = [u32; 4];

impl Ids {
    /// The number of tables. They grow at different times, so that growing never needs the memory of all of them twice.
    const TABLES: usize = 256;

    pub(super) fn new() -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            seen: (0..Self::TABLES).map(|_| Table::default()).collect(),
        }
    }

    /// Adds an id that a line has of its own.
    pub(super) fn given(&mut self, id: &str, place: Place) -> Result<(), Wrong> {
        let made = |(fingerprint, nth)| self.get(&Name::Made(fingerprint)) >= nth;
        if parse(id).is_some_and(made) {
            let why = format!("`custom_id` {id:?} is the id that was made for an earlier line without one");
            return Err(Wrong::at(place, why));
        }
        let known = self.get(&Name::Given(id));
        if known > 0 {
            let what = if place.element.is_some() { "element" } else { "line" };
            let why = format!(
                "`custom_id` {id:?} was used before, on {what} {known}; give each {what} an id of its own"
            );
            return Err(Wrong::at(place, why));
        }
        let number = u32::try_from(place.element.unwrap_or(place.line)).unwrap_or(u32::MAX);
        self.put(&Name::Given(id), number);
        Ok(())
    }

    /// Makes an id for a line that has none, from the fingerprint of what it sends.
    pub(super) fn make(&mut self, fingerprint: u64) -> String {
        let mut nth = self.get(&Name::Made(fingerprint));
        loop {
            nth = nth.saturating_add(1);
            let id = match nth {
                1 => format!("{fingerprint:016x}"),
                nth => format!("{fingerprint:016x}-{nth}"),
            };
            // An earlier line may have this id as its own.
            if self.get(&Name::Given(&id)) == 0 || nth == u32::MAX {
                self.put(&Name::Made(fingerprint), nth);
                return id;
            }
        }
    }

    /// The number that is stored for an id: the line that has it; or, for made ids, how many were made. 0: not seen yet.
    fn get(&self, name: &Name<'_>) -> u32 {
        let (table, key) = self.key(name);
        self.seen[table].get(key)
    }

    fn put(&mut self, name: &Name<'_>, known: u32) {
        let (table, key) = self.key(name);
        self.seen[table].put(key, known);
    }

    fn key(&self, name: &Name<'_>) -> (usize, [u32; 3]) {
        let [hash, more] = [0, 1].map(|which| self.hashers[which].hash_one(name));
        (more as usize % Self::TABLES, [hash as u32, (hash >> 32) as u32, (more >> 32) as u32])
    }
}

/// The fingerprint and the number in an id, if it has the form of a made id.
fn parse(id: &str) -> Option<(u64, u32)> {
    let (hash, nth) = match id.split_once('-') {
        Some((hash, nth)) => (hash, nth.parse().ok().filter(|nth| *nth > 1)?),
        None => (id, 1),
    };
    let digits = hash.len() == 16 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(hash, 16).ok().filter(|_| digits).map(|fingerprint| (fingerprint, nth))
}

/// A hash table with open addressing that is 68 to 85 % full, whatever its size. The standard library's is half empty after
/// it has grown.
#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    used: usize,
}

impl Table {
    fn get(&self, key: [u32; 3]) -> u32 {
        if self.slots.is_empty() { 0 } else { self.slots[self.find(key)][3] }
    }

    /// `known` is never 0.
    fn put(&mut self, key: [u32; 3], known: u32) {
        if (self.used + 1) * 20 > self.slots.len() * 17 {
            self.grow();
        }
        let at = self.find(key);
        self.used += usize::from(self.slots[at][3] == 0);
        self.slots[at] = [key[0], key[1], key[2], known];
    }

    /// The slot that has this key, or the empty one where it belongs. There is always one.
    fn find(&self, key: [u32; 3]) -> usize {
        let hash = u128::from(key[1]) << 32 | u128::from(key[0]);
        let mut at = ((hash * self.slots.len() as u128) >> 64) as usize;
        while self.slots[at][3] != 0 && self.slots[at][..3] != key {
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
        at
    }

    fn grow(&mut self) {
        let larger = vec![[0; 4]; self.slots.len() + self.slots.len() / 4 + 8];
        let old = std::mem::replace(&mut self.slots, larger);
        for slot in old.into_iter().filter(|slot| slot[3] != 0) {
            let at = self.find([slot[0], slot[1], slot[2]]);
            self.slots[at] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_id_names_both_lines() {
        let mut ids = Ids::new();
        ids.given("a", Place::line(3)).expect("new");
        ids.given("b", Place::line(4)).expect("new");
        let wrong = ids.given("a", Place::line(9)).expect_err("used before");
        assert_eq!(
            wrong.to_string(),
            "line 9: `custom_id` \"a\" was used before, on line 3; give each line an id of its own"
        );
        let element = |element| Place { line: 1, element: Some(element) };
        let mut ids = Ids::new();
        ids.given("a", element(1)).expect("new");
        let wrong = ids.given("a", element(2)).expect_err("used before").to_string();
        assert!(wrong.contains("element 2 (line 1)") && wrong.contains("on element 1;"), "{wrong}");
    }

    #[test]
    fn made_ids_are_numbered_from_the_second_on_and_avoid_those_given() {
        let mut ids = Ids::new();
        ids.given("000000000000002a-3", Place::line(1)).expect("new");
        assert_eq!(ids.make(42), "000000000000002a");
        assert_eq!(ids.make(43), "000000000000002b");
        assert_eq!(ids.make(42), "000000000000002a-2");
        assert_eq!(ids.make(42), "000000000000002a-4", "the third is somebody's");
        for taken in ["000000000000002a", "000000000000002a-2", "000000000000002a-4", "000000000000002b"] {
            let wrong = ids.given(taken, Place::line(9)).expect_err("made before").to_string();
            assert!(wrong.starts_with("line 9: ") && wrong.contains("was made for"), "{wrong}");
        }
        for free in ["000000000000002a-5", "000000000000002A", "000000000000002a-1", "2a", "000000000000002c"]
        {
            ids.given(free, Place::line(9)).expect(free);
        }
    }

    #[test]
    fn a_million_lines_are_small_and_none_is_taken_for_another() {
        let mut ids = Ids::new();
        for line in 1..=1_000_000 {
            ids.given(&format!("request-{line}"), Place::line(line)).expect("new");
        }
        let bytes: usize = ids.seen.iter().map(|table| table.slots.capacity() * size_of::<Slot>()).sum();
        assert!((16_000_000..=24_000_000).contains(&bytes), "{bytes}");
        for line in [1, 500_000, 1_000_000] {
            let wrong = ids.given(&format!("request-{line}"), Place::line(7)).expect_err("there").to_string();
            assert!(wrong.contains(&format!("on line {line};")), "{wrong}");
        }
    }

    #[test]
    fn one_text_a_million_times_is_one_entry() {
        let mut ids = Ids::new();
        let last = (0..1_000_000).map(|_| ids.make(7)).last();
        assert_eq!(last.as_deref(), Some("0000000000000007-1000000"));
        assert_eq!(ids.seen.iter().map(|table| table.used).sum::<usize>(), 1);
    }
}
