//! Actions that are collected under a pool's lock, and done after the lock is released.

use std::task::Waker;

use super::{dial::Dial, multiplexed::Multiplexed, permits::Permits};
use crate::connection::Connection;

/// Actions for after the lock is released. Mostly there are none, so the memory for them is allocated when it is
/// needed.
#[derive(Default)]
pub(super) struct AfterUnlock(Option<Box<Work>>);

#[derive(Default)]
pub(super) struct Work {
    pub(super) wake: Vec<Waker>,
    pub(super) dials: Vec<Dial>,
    // Closing a connection wakes its driver.
    pub(super) close: Vec<Connection>,
    pub(super) multiplexed: Vec<Multiplexed>,
    /// How many permits to free, over all origins.
    pub(super) make_room: usize,
}

impl AfterUnlock {
    #[cold]
    pub(super) fn work(&mut self) -> &mut Work {
        self.0.get_or_insert_default()
    }

    /// Closes connections after their last request is done.
    pub(super) fn close_multiplexed(
        &mut self,
        connections: &mut Vec<Multiplexed>,
        mut which: impl FnMut(&Multiplexed) -> bool,
    ) {
        for connection in connections.extract_if(.., |connection| which(connection)) {
            self.work().multiplexed.push(connection);
        }
    }

    #[inline]
    pub(super) fn run(self, permits: &Permits) {
        if let Some(work) = self.0 {
            work.run(permits);
        }
    }
}

impl Work {
    #[cold]
    fn run(self, permits: &Permits) {
        self.dials.into_iter().for_each(Dial::spawn);
        self.wake.into_iter().for_each(Waker::wake);
        drop((self.close, self.multiplexed));
        for _ in 0..self.make_room {
            permits.make_room();
        }
    }
}
