//! A request target that is being built, in memory that the targets of a thread share.

use std::{cell::Cell, fmt};

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;

use super::finish;
use crate::error::Error;

/// A request target that is being built.
///
/// Many targets share one block of memory, one after the other. The block is used again once all of them are dropped.
/// So neither a target nor a clone of it allocates.
#[derive(Default)]
pub(crate) struct Target(BytesMut);

thread_local! {
    // The rest of the memory. `None` while a target is being built.
    static ROOM: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

impl Target {
    const SHARED: usize = 1 << 10;
    // A longer target gets memory of its own, which is freed with it.
    const LONG: usize = Self::SHARED / 4;

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        if capacity > Self::LONG {
            return Self(BytesMut::with_capacity(capacity));
        }
        // If the thread is ending, there is none.
        let room = ROOM.try_with(Cell::take).ok().flatten();
        let mut room = room.unwrap_or_else(|| BytesMut::with_capacity(Self::SHARED));
        room.reserve(capacity);
        Self(room)
    }

    #[inline]
    pub(crate) fn push(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only text was added, so this never fails.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn has_query(&self) -> bool {
        self.0.contains(&b'?')
    }

    pub(crate) fn finish(self) -> Result<PathAndQuery, Error> {
        finish(self.freeze())
    }

    fn freeze(self) -> Bytes {
        let Self(mut room) = self;
        if room.len() > Self::LONG {
            return room.freeze();
        }
        let target = room.split().freeze();
        let _ = ROOM.try_with(|spare| spare.set(Some(room)));
        target
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text is left out, because its query may contain a key.
        f.debug_struct("Target").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        let mut target = Self::with_capacity(text.len());
        target.push(text);
        target
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn finish(target: Target) -> PathAndQuery {
        target.finish().unwrap()
    }

    fn address(target: &PathAndQuery) -> usize {
        target.as_str().as_ptr().addr()
    }

    #[test]
    fn short_targets_share_memory_and_none_writes_into_another() {
        let targets: Vec<_> = (0..1000).map(|n| finish(Target::from(&*format!("/a/{n}?q={n}")))).collect();
        for (n, target) in targets.iter().enumerate() {
            assert_eq!(target.as_str(), format!("/a/{n}?q={n}"));
        }
        assert_eq!(address(&targets[1]), address(&targets[0]) + targets[0].as_str().len());
    }

    #[test]
    fn memory_is_used_again_once_no_target_is_left() {
        let first = address(&finish(Target::from("/x")));
        let again = (0..2 * Target::SHARED).map(|_| address(&finish(Target::from("/x"))));
        assert!(again.into_iter().skip(1).any(|address| address == first));
    }

    #[test]
    fn two_in_the_making_at_once_are_apart() {
        let (mut one, mut two) = (Target::from("/one"), Target::from("/two"));
        one.push("?a=1");
        two.push("?b=2");
        let kept = finish(two);
        one.push("&c=3");
        let three = finish(Target::from("/three"));
        assert_eq!(finish(one).as_str(), "/one?a=1&c=3");
        assert_eq!((kept.as_str(), three.as_str()), ("/two?b=2", "/three"));
    }

    #[test]
    fn one_that_is_dropped_leaves_nothing_behind() {
        let kept = finish(Target::from("/kept"));
        let mut dropped = Target::from("/dropped");
        dropped.push("?key=secret");
        assert!(!format!("{dropped:?}").contains("secret"));
        drop(dropped);
        let next = Target::with_capacity(5);
        assert_eq!(next.as_str(), "");
        assert_eq!((finish(Target::from("/next")).as_str(), kept.as_str()), ("/next", "/kept"));
    }

    #[test]
    fn a_long_one_has_memory_of_its_own() {
        for length in [Target::LONG - 1, Target::LONG, Target::LONG + 1, Target::SHARED, 10 * Target::SHARED]
        {
            let long = format!("/{}", "x".repeat(length - 1));
            let before = finish(Target::from("/before"));
            // A long target that is allocated at once, and one that outgrows the shared memory.
            let mut grown = Target::from("/");
            for _ in 1..length {
                grown.push("x");
            }
            let (grown, whole) = (finish(grown), finish(Target::from(&*long)));
            let after = finish(Target::from("/after"));
            assert!(grown.as_str() == long && whole.as_str() == long, "{length}");
            assert_eq!((before.as_str(), after.as_str()), ("/before", "/after"));
            if length > Target::LONG {
                // The thread keeps no more memory than before.
                assert!(ROOM.take().is_none_or(|room| room.capacity() <= Target::SHARED));
            }
        }
    }

    #[test]
    fn one_may_be_made_on_one_thread_and_finished_on_another() {
        let kept = finish(Target::from("/kept"));
        let mut moved = Target::from("/moved");
        let there = thread::spawn(move || {
            moved.push("?there=1");
            let moved = finish(moved);
            let many: Vec<_> = (0..200).map(|n| finish(Target::from(&*format!("/there/{n}")))).collect();
            (moved, many)
        });
        let here: Vec<_> = (0..200).map(|n| finish(Target::from(&*format!("/here/{n}")))).collect();
        let (moved, there) = there.join().unwrap();
        assert_eq!((kept.as_str(), moved.as_str()), ("/kept", "/moved?there=1"));
        for n in 0..200 {
            assert_eq!(
                (here[n].as_str(), there[n].as_str()),
                (&*format!("/here/{n}"), &*format!("/there/{n}"))
            );
        }
    }
}
