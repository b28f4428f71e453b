//! The parts of a policy that judge results, and the one that pays for retries.

use std::{borrow::Borrow, fmt, marker::PhantomData, time::Duration};

use super::{Judge, NoLimit, Part};
use crate::{Budget, Ended, Verdict};

/// Retries every error. It is the default of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyError;

impl<T, E> Judge<T, E> for AnyError {
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        result.is_err().into()
    }
}

impl Part for AnyError {
    type Limit = NoLimit;
}

/// A [`Judge`] of your own; see [`Retry::judge`](crate::Retry::judge).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own<J> {
    pub(crate) policy: J,
}

impl<T, E, J: Judge<T, E>> Judge<T, E> for Own<J> {
    delegate!(verdict, after_attempt, stop, wait, before_sleep);
}

impl<J> Part for Own<J> {
    type Limit = NoLimit;
}

/// Asks a function about each error; see [`Retry::when`](crate::Retry::when).
pub struct When<E, P = AnyError, F = fn(&E) -> bool> {
    pub(crate) policy: P,
    pub(crate) when: F,
    // The error type, so that the compiler can infer it for a closure that does not name it.
    pub(crate) error: PhantomData<fn(&E)>,
}

/// Asks a function about each result; see [`Retry::when_result`](crate::Retry::when_result).
pub struct WhenResult<R, P = AnyError, F = fn(&R) -> bool> {
    pub(crate) policy: P,
    pub(crate) when: F,
    pub(crate) result: PhantomData<fn(&R)>,
}

/// Asks a function about each success; see [`Retry::when_ok`](crate::Retry::when_ok).
pub struct WhenOk<T, P = AnyError, F = fn(&T) -> bool> {
    pub(crate) policy: P,
    pub(crate) when: F,
    pub(crate) value: PhantomData<fn(&T)>,
}

impl<T, E, V: Into<Verdict>, F: FnMut(&E) -> V, P: Judge<T, E>> Judge<T, E> for When<E, P, F> {
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        result.as_ref().err().map_or(Verdict::Stop, |error| (self.when)(error).into())
    }

    delegate!(after_attempt, stop, wait, before_sleep);
}

impl<T, E, V: Into<Verdict>, F: FnMut(&Result<T, E>) -> V, P: Judge<T, E>> Judge<T, E>
    for WhenResult<Result<T, E>, P, F>
{
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        (self.when)(result).into()
    }

    delegate!(after_attempt, stop, wait, before_sleep);
}

impl<T, E, V: Into<Verdict>, F: FnMut(&T) -> V, P: Judge<T, E>> Judge<T, E> for WhenOk<T, P, F> {
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
        match result {
            Ok(value) => (self.when)(value).into(),
            Err(_) => self.policy.verdict(result),
        }
    }

    delegate!(after_attempt, stop, wait, before_sleep);
}

impl<E, F, P: Part> Part for When<E, P, F> {
    delegate_part!();
}

impl<R, F, P: Part> Part for WhenResult<R, P, F> {
    delegate_part!();
}

impl<T, F, P: Part> Part for WhenOk<T, P, F> {
    delegate_part!();
}

/// Pays for retries out of a budget; see [`Retry::budget`](crate::Retry::budget).
#[derive(Clone, Copy, Debug)]
pub struct Budgeted<P, B> {
    pub(crate) policy: P,
    pub(crate) budget: B,
}

impl<T, E, P: Judge<T, E>, B> Judge<T, E> for Budgeted<P, B> {
    delegate!(verdict, after_attempt, stop, wait, before_sleep);
}

impl<P: Part, B: Borrow<Budget>> Part for Budgeted<P, B> {
    type Limit = P::Limit;

    fn attempt_timeout(&self) -> Option<Duration> {
        self.policy.attempt_timeout()
    }

    fn budget(&self) -> Option<&Budget> {
        Some(self.budget.borrow())
    }
}

// Written by hand: derived implementations would also demand `Clone` of the type that is judged.

impl<E, F: Clone, P: Clone> Clone for When<E, P, F> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), when: self.when.clone(), error: PhantomData }
    }
}

impl<E, F: Copy, P: Copy> Copy for When<E, P, F> {}

impl<R, F: Clone, P: Clone> Clone for WhenResult<R, P, F> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), when: self.when.clone(), result: PhantomData }
    }
}

impl<R, F: Copy, P: Copy> Copy for WhenResult<R, P, F> {}

impl<T, F: Clone, P: Clone> Clone for WhenOk<T, P, F> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), when: self.when.clone(), value: PhantomData }
    }
}

impl<T, F: Copy, P: Copy> Copy for WhenOk<T, P, F> {}

impl<E, F, P: fmt::Debug> fmt::Debug for When<E, P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("When").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<R, F, P: fmt::Debug> fmt::Debug for WhenResult<R, P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhenResult").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<T, F, P: fmt::Debug> fmt::Debug for WhenOk<T, P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhenOk").field("policy", &self.policy).finish_non_exhaustive()
    }
}
