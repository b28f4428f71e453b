//! Waiting with a limit. Nothing in these proofs waits without one.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::run::Result;

const LOOK: Duration = Duration::from_millis(20);

/// There is no runtime here whose clock it could pass by.
#[expect(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// There is no runtime here that it could hold up.
#[expect(clippy::disallowed_methods)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Looks again and again until there is something, or the limit is over.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > limit {
            return Err(format!("{what}: not within {} s", limit.as_secs_f64()).into());
        }
        pause(LOOK);
    }
}
