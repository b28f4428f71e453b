//! The parts of a policy that are hooks: after an attempt, before a wait, to stop, to change the wait.

use std::{fmt, marker::PhantomData, time::Duration};

use super::{Judge, Part};
use crate::{Budget, Ended, Verdict};

/// Calls a function after each attempt; see [`Retry::after_attempt`](crate::Retry::after_attempt).
pub struct AfterAttempt<P, F, R> {
    pub(crate) policy: P,
    pub(crate) hook: F,
    pub(crate) result: PhantomData<fn(&R)>,
}

impl<T, E, P: Judge<T, E>, F: FnMut(&Ended<'_, T, E>)> Judge<T, E> for AfterAttempt<P, F, Result<T, E>> {
    fn after_attempt(&mut self, ended: &Ended<'_, T, E>) {
        self.policy.after_attempt(ended);
        (self.hook)(ended);
    }

    delegate!(verdict, stop, wait, before_sleep);
}

/// Lets a function stop; see [`Retry::stop_when`](crate::Retry::stop_when).
pub struct StopWhen<P, F, R> {
    pub(crate) policy: P,
    pub(crate) hook: F,
    pub(crate) result: PhantomData<fn(&R)>,
}

impl<T, E, P: Judge<T, E>, F: FnMut(&Ended<'_, T, E>) -> bool> Judge<T, E> for StopWhen<P, F, Result<T, E>> {
    fn stop(&mut self, ended: &Ended<'_, T, E>) -> bool {
        self.policy.stop(ended) || (self.hook)(ended)
    }

    delegate!(verdict, after_attempt, wait, before_sleep);
}

/// Lets a function change the wait; see [`Retry::wait_with`](crate::Retry::wait_with).
pub struct WaitWith<P, F, R> {
    pub(crate) policy: P,
    pub(crate) hook: F,
    pub(crate) result: PhantomData<fn(&R)>,
}

impl<T, E, P: Judge<T, E>, F: FnMut(&Ended<'_, T, E>, Duration) -> Duration> Judge<T, E>
    for WaitWith<P, F, Result<T, E>>
{
    fn wait(&mut self, ended: &Ended<'_, T, E>, wait: Duration) -> Duration {
        let wait = self.policy.wait(ended, wait);
        (self.hook)(ended, wait)
    }

    delegate!(verdict, after_attempt, stop, before_sleep);
}

/// Calls a function before each wait; see [`Retry::before_sleep`](crate::Retry::before_sleep).
pub struct BeforeSleep<P, F, R> {
    pub(crate) policy: P,
    pub(crate) hook: F,
    pub(crate) result: PhantomData<fn(&R)>,
}

impl<T, E, P: Judge<T, E>, F: FnMut(&Ended<'_, T, E>, Duration)> Judge<T, E>
    for BeforeSleep<P, F, Result<T, E>>
{
    fn before_sleep(&mut self, ended: &Ended<'_, T, E>, wait: Duration) {
        self.policy.before_sleep(ended, wait);
        (self.hook)(ended, wait);
    }

    delegate!(verdict, after_attempt, stop, wait);
}

// Written by hand: derived implementations would also demand `Clone` of the type that is judged.

impl<P: Part, F, R> Part for AfterAttempt<P, F, R> {
    delegate_part!();
}

impl<P: Clone, F: Clone, R> Clone for AfterAttempt<P, F, R> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), hook: self.hook.clone(), result: PhantomData }
    }
}

impl<P: Copy, F: Copy, R> Copy for AfterAttempt<P, F, R> {}

impl<P: fmt::Debug, F, R> fmt::Debug for AfterAttempt<P, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterAttempt").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<P: Part, F, R> Part for StopWhen<P, F, R> {
    delegate_part!();
}

impl<P: Clone, F: Clone, R> Clone for StopWhen<P, F, R> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), hook: self.hook.clone(), result: PhantomData }
    }
}

impl<P: Copy, F: Copy, R> Copy for StopWhen<P, F, R> {}

impl<P: fmt::Debug, F, R> fmt::Debug for StopWhen<P, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopWhen").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<P: Part, F, R> Part for WaitWith<P, F, R> {
    delegate_part!();
}

impl<P: Clone, F: Clone, R> Clone for WaitWith<P, F, R> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), hook: self.hook.clone(), result: PhantomData }
    }
}

impl<P: Copy, F: Copy, R> Copy for WaitWith<P, F, R> {}

impl<P: fmt::Debug, F, R> fmt::Debug for WaitWith<P, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitWith").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<P: Part, F, R> Part for BeforeSleep<P, F, R> {
    delegate_part!();
}

impl<P: Clone, F: Clone, R> Clone for BeforeSleep<P, F, R> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), hook: self.hook.clone(), result: PhantomData }
    }
}

impl<P: Copy, F: Copy, R> Copy for BeforeSleep<P, F, R> {}

impl<P: fmt::Debug, F, R> fmt::Debug for BeforeSleep<P, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforeSleep").field("policy", &self.policy).finish_non_exhaustive()
    }
}
