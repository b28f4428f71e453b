use std::task::Waker;

use super::{dial::Dial, multiplexed::Multiplexed, places::Places};
use crate::connection::Connection;

/// What to do once the lock is released.
#[derive(Default)]
pub(super) struct Later {
    pub(super) wake: Vec<Waker>,
    pub(super) dials: Vec<Dial>,
    // Closing one wakes its driver.
    pub(super) close: Vec<Connection>,
    pub(super) multiplexed: Vec<Multiplexed>,
    /// How many places to make free, over all origins.
    pub(super) make_room: usize,
}

impl Later {
    /// Closes connections once their last request is done.
    pub(super) fn close_multiplexed(
        &mut self,
        connections: &mut Vec<Multiplexed>,
        mut which: impl FnMut(&Multiplexed) -> bool,
    ) {
        self.multiplexed.extend(connections.extract_if(.., |connection| which(connection)));
    }

    #[inline]
    pub(super) fn run(self, places: &Places) {
        // Mostly there is nothing to do.
        let lists = self.dials.len() + self.wake.len() + self.close.len() + self.multiplexed.len();
        if lists + self.make_room > 0 {
            self.run_all(places);
        } else {
            // A list that nothing was put on has nothing to free; to look at each would cost more than the rest of this.
            std::mem::forget(self);
        }
    }

    fn run_all(self, places: &Places) {
        self.dials.into_iter().for_each(Dial::spawn);
        self.wake.into_iter().for_each(Waker::wake);
        drop((self.close, self.multiplexed));
        for _ in 0..self.make_room {
            places.make_room();
        }
    }
}
