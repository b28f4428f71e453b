//! Actions that are collected under a pool's lock, and done after the lock is released.

use std::task::Waker;

use super::{dial::Dial, multiplexed::Multiplexed, places::Places};
use crate::connection::Connection;

/// Actions for after the lock is released. Mostly there are none, so the memory for them is allocated when it is
/// needed.
#[derive(Default)]
pub(super) struct Later(Option<Box<Work>>);

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

impl Later {
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
    pub(super) fn run(self, places: &Places) {
        if let Some(work) = self.0 {
            work.run(places);
        }
    }
}

impl Work {
    #[cold]
    fn run(self, places: &Places) {
        self.dials.into_iter().for_each(Dial::spawn);
        self.wake.into_iter().for_each(Waker::wake);
        drop((self.close, self.multiplexed));
        for _ in 0..self.make_room {
            places.make_room();
        }
    }
}
