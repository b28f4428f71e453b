use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;

use super::finish;
use crate::error::Error;

/// A request target in the making.
///
/// Targets are parts of memory that many of them share, one behind the other, which is used again once none of them is
/// left. So neither a target allocates nor a clone of it.
#[derive(Debug, Default)]
pub(crate) struct Target(BytesMut);

thread_local! {
    // What is left of the memory. Away while a target is being made.
    static ROOM: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

impl Target {
    const SHARED: usize = 1 << 10;
    // A longer one has memory of its own, which ends with it.
    const LONG: usize = Self::SHARED / 4;

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        if capacity > Self::LONG {
            return Self(BytesMut::with_capacity(capacity));
        }
        // Where the thread ends there is none.
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
        // All that was pushed is.
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

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        let mut target = Self::with_capacity(text.len());
        target.push(text);
        target
    }
}
