//! The code that a policy can have beside its data: which results to retry, the limit of an attempt, hooks.
//!
//! The methods of [`Retry`](crate::Retry) make these types out of closures. Each type holds the one that it was added to.
//! Their names are needed where a policy is kept in a `static` or returned by a function:
//!
//! ```
//! use outbound_retry::{Retry, policy::When};
//!
//! # struct ApiError;
//! # impl ApiError { fn is_transient(&self) -> bool { true } }
//! static POLICY: Retry<When<ApiError>> = Retry::attempts(5).when(ApiError::is_transient);
//!
//! fn impatient() -> Retry<When<ApiError>> {
//!     POLICY.max_attempts(2)
//! }
//! ```
//!
//! `When<ApiError>` holds a function pointer. The compiler turns a function into a pointer only for the last call of the
//! chain. So `when` comes last, as in `Retry<When<ApiError, AttemptTimeout>>`.
//!
//! A type of your own that has several hooks implements [`Judge`]; give it to [`Retry::judge`](crate::Retry::judge).

use std::time::Duration;

use crate::{Budget, Ended, Verdict};

/// The methods of [`Judge`] that a layer passes on to the policy it was added to.
macro_rules! delegate {
    ($($method:ident),*) => { $(delegate!(@$method);)* };
    (@verdict) => {
        fn verdict(&mut self, result: &Result<T, E>) -> Verdict {
            self.policy.verdict(result)
        }
    };
    (@after_attempt) => {
        fn after_attempt(&mut self, ended: &Ended<'_, T, E>) {
            self.policy.after_attempt(ended);
        }
    };
    (@stop) => {
        fn stop(&mut self, ended: &Ended<'_, T, E>) -> bool {
            self.policy.stop(ended)
        }
    };
    (@wait) => {
        fn wait(&mut self, ended: &Ended<'_, T, E>, wait: Duration) -> Duration {
            self.policy.wait(ended, wait)
        }
    };
    (@before_sleep) => {
        fn before_sleep(&mut self, ended: &Ended<'_, T, E>, wait: Duration) {
            self.policy.before_sleep(ended, wait);
        }
    };
}

/// The limit of an attempt and the budget, from the policy that the layer was added to.
macro_rules! delegate_part {
    () => {
        type Limit = P::Limit;

        fn attempt_timeout(&self) -> Option<Duration> {
            self.policy.attempt_timeout()
        }

        fn budget(&self) -> Option<&Budget> {
            self.policy.budget()
        }
    };
}

mod base;
mod hooks;
mod limit;

pub use base::{AnyError, Budgeted, Own, When, WhenOk, WhenResult};
pub use hooks::{AfterAttempt, BeforeSleep, StopWhen, WaitWith};
pub use limit::AttemptTimeout;

pub(crate) use limit::{Limit, NoLimit};

/// Which results to retry, and what else to do about a failure.
pub trait Judge<T, E> {
    /// What to do about this result. [`Verdict::Stop`] for a success means that it is accepted.
    fn verdict(&mut self, result: &Result<T, E>) -> Verdict;

    /// Called after each attempt, the last one too. By default it does nothing.
    fn after_attempt(&mut self, ended: &Ended<'_, T, E>) {
        let _ = ended;
    }

    /// Whether to give up after this attempt. It is asked only where the attempt would be retried. By default no.
    fn stop(&mut self, ended: &Ended<'_, T, E>) -> bool {
        let _ = ended;
        false
    }

    /// How long to wait, where the data of the policy says `wait`. By default `wait`.
    fn wait(&mut self, ended: &Ended<'_, T, E>, wait: Duration) -> Duration {
        let _ = ended;
        wait
    }

    /// Called before each wait, once it is certain. By default it does nothing.
    fn before_sleep(&mut self, ended: &Ended<'_, T, E>, wait: Duration) {
        let _ = (ended, wait);
    }
}

/// What a [`Retry`](crate::Retry) can hold: the types of this module.
///
/// It is not meant to be implemented elsewhere. Implement [`Judge`].
pub trait Part {
    /// What limits an attempt in time.
    #[doc(hidden)]
    type Limit;

    /// How long an attempt may take.
    #[doc(hidden)]
    fn attempt_timeout(&self) -> Option<Duration> {
        None
    }

    /// What pays for retries.
    #[doc(hidden)]
    fn budget(&self) -> Option<&Budget> {
        None
    }
}

/// What a [`Retry`](crate::Retry) must hold to call an operation with this result. It is the bound of a function that
/// takes any policy.
///
/// All types that are [`Part`] and [`Judge`] have it. With an [`attempt_timeout`](crate::Retry::attempt_timeout), the
/// error must also be `E: From<`[`Elapsed`](crate::Elapsed)`>`.
pub trait Rules<T, E>: Judge<T, E> + Part<Limit: Limit<T, E>> {}

impl<T, E, P: Judge<T, E> + Part<Limit: Limit<T, E>>> Rules<T, E> for P {}
