//! The service of the retry examples.

use std::{cell::Cell, time::Duration};

use tokio::time::sleep;

/// A service that fails so many times before it answers. Each call takes 100 ms.
#[derive(Debug)]
pub struct Flaky<E> {
    failures: Cell<u32>,
    calls: Cell<u32>,
    error: E,
}

impl<E: Copy> Flaky<E> {
    /// A service that fails so many times, with this error.
    pub fn failing(failures: u32, error: E) -> Self {
        Self { failures: Cell::new(failures), calls: Cell::new(0), error }
    }

    /// One call.
    ///
    /// # Errors
    ///
    /// As often as it was told to fail.
    pub async fn call(&self) -> Result<&'static str, E> {
        sleep(Duration::from_millis(100)).await;
        self.calls.set(self.calls.get() + 1);
        match self.failures.get().checked_sub(1) {
            Some(left) => {
                self.failures.set(left);
                Err(self.error)
            }
            None => Ok("an answer"),
        }
    }

    /// How many calls there were.
    pub fn calls(&self) -> u32 {
        self.calls.get()
    }

    /// Lets so many of the next calls fail.
    pub fn fail_again(&self, failures: u32) {
        self.failures.set(failures);
    }
}
