//! The code a policy can have beside its data: which results to retry, and hooks.
//!
//! The types here are made by the methods of [`Retry`](crate::Retry) and [`Retrying`](crate::Retrying) out of closures.
//! A type of one's own with several of these methods is a [`Policy`] as well; give it to
//! [`Retrying::policy`](crate::Retrying::policy).

use std::{fmt, marker::PhantomData, time::Duration};

use crate::{Attempt, Verdict};

/// Which results to retry, and what else to do about a failure.
pub trait Policy<T, E> {
    /// What to do about this result. [`Verdict::Stop`] for a success means that it is accepted.
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict;

    /// Whether to give up after this attempt, asked once a retry is otherwise due. By default no.
    fn stop(&mut self, failed: &Attempt) -> bool {
        let _ = failed;
        false
    }

    /// How long to wait, where the data says `wait`. By default that.
    fn wait(&mut self, failed: &Attempt, wait: Duration) -> Duration {
        let _ = failed;
        wait
    }

    /// Called before each wait, once it is certain. By default nothing.
    fn before_sleep(&mut self, failed: &Attempt, wait: Duration) {
        let _ = (failed, wait);
    }
}

/// Retries every error; see [`Retry::any_error`](crate::Retry::any_error).
#[derive(Clone, Copy, Debug)]
pub struct AnyError;

impl<T, E> Policy<T, E> for AnyError {
    #[inline]
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        result.is_err().into()
    }
}

/// Asks a closure about each error; see [`Retry::when`](crate::Retry::when).
#[derive(Clone, Copy)]
pub struct OnError<E, F> {
    when: F,
    // The error type, so that a closure that does not name it can have it inferred.
    error: PhantomData<fn(&E)>,
}

impl<E, F> OnError<E, F> {
    pub(crate) const fn new(when: F) -> Self {
        Self { when, error: PhantomData }
    }
}

impl<T, E, V: Into<Verdict>, F: FnMut(&E) -> V> Policy<T, E> for OnError<E, F> {
    #[inline]
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        result.as_ref().err().map_or(Verdict::Stop, |error| (self.when)(error).into())
    }
}

/// Asks a closure about each result; see [`Retry::when_result`](crate::Retry::when_result).
#[derive(Clone, Copy)]
pub struct OnResult<T, E, F> {
    when: F,
    result: PhantomData<fn(&T, &E)>,
}

impl<T, E, F> OnResult<T, E, F> {
    pub(crate) const fn new(when: F) -> Self {
        Self { when, result: PhantomData }
    }
}

impl<T, E, V: Into<Verdict>, F: FnMut(&Result<T, E>) -> V> Policy<T, E> for OnResult<T, E, F> {
    #[inline]
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        (self.when)(result).into()
    }
}

/// Lets a closure change the wait; see [`Retrying::wait_with`](crate::Retrying::wait_with).
#[derive(Clone, Copy)]
pub struct WaitWith<P, F> {
    pub(crate) policy: P,
    pub(crate) wait: F,
}

impl<T, E, P: Policy<T, E>, F: FnMut(&Attempt, Duration) -> Duration> Policy<T, E> for WaitWith<P, F> {
    #[inline]
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        self.policy.verdict(result)
    }

    fn stop(&mut self, failed: &Attempt) -> bool {
        self.policy.stop(failed)
    }

    fn wait(&mut self, failed: &Attempt, wait: Duration) -> Duration {
        (self.wait)(failed, self.policy.wait(failed, wait))
    }

    fn before_sleep(&mut self, failed: &Attempt, wait: Duration) {
        self.policy.before_sleep(failed, wait);
    }
}

/// Lets a closure stop; see [`Retrying::stop_when`](crate::Retrying::stop_when).
#[derive(Clone, Copy)]
pub struct StopWhen<P, F> {
    pub(crate) policy: P,
    pub(crate) stop: F,
}

impl<T, E, P: Policy<T, E>, F: FnMut(&Attempt) -> bool> Policy<T, E> for StopWhen<P, F> {
    #[inline]
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        self.policy.verdict(result)
    }

    fn stop(&mut self, failed: &Attempt) -> bool {
        self.policy.stop(failed) || (self.stop)(failed)
    }

    fn wait(&mut self, failed: &Attempt, wait: Duration) -> Duration {
        self.policy.wait(failed, wait)
    }

    fn before_sleep(&mut self, failed: &Attempt, wait: Duration) {
        self.policy.before_sleep(failed, wait);
    }
}

/// Calls a closure before each wait; see [`Retrying::before_sleep`](crate::Retrying::before_sleep).
#[derive(Clone, Copy)]
pub struct BeforeSleep<P, F> {
    pub(crate) policy: P,
    pub(crate) before_sleep: F,
}

impl<T, E, P: Policy<T, E>, F: FnMut(&Attempt, Duration)> Policy<T, E> for BeforeSleep<P, F> {
    #[inline]
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        self.policy.verdict(result)
    }

    fn stop(&mut self, failed: &Attempt) -> bool {
        self.policy.stop(failed)
    }

    fn wait(&mut self, failed: &Attempt, wait: Duration) -> Duration {
        self.policy.wait(failed, wait)
    }

    fn before_sleep(&mut self, failed: &Attempt, wait: Duration) {
        self.policy.before_sleep(failed, wait);
        (self.before_sleep)(failed, wait);
    }
}

impl<E, F> fmt::Debug for OnError<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnError").finish_non_exhaustive()
    }
}

impl<T, E, F> fmt::Debug for OnResult<T, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnResult").finish_non_exhaustive()
    }
}

impl<P: fmt::Debug, F> fmt::Debug for WaitWith<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitWith").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<P: fmt::Debug, F> fmt::Debug for StopWhen<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopWhen").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<P: fmt::Debug, F> fmt::Debug for BeforeSleep<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforeSleep").field("policy", &self.policy).finish_non_exhaustive()
    }
}
