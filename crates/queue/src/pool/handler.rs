//! The handler of a pool: an async function, with a state or without one.

use std::{error::Error, future::Future};

use crate::Lease;

/// What a worker does with its items: an async function of one or two borrowed arguments.
///
/// You do not have to implement it. It is implemented for async functions, and for async closures that capture nothing, of
/// the form `async |job: &mut Lease<T>| Ok(..)`, or with a state `async |state: &S, job: &mut Lease<T>| Ok(..)`. The error
/// type is `Box<dyn Error + Send + Sync>`: `?` makes one of any error, and `.into()` makes one of a string.
///
/// A closure cannot lend what it has captured to its future. So what the work needs is passed as the state, which each
/// call borrows.
///
/// A handler that does not return a `Result` does not compile:
///
/// ```compile_fail
/// # let queue = outbound_queue::Queue::unbounded();
/// outbound_queue::WorkerPool::spawn(queue, 1, async |_: &mut outbound_queue::Lease<u32>| {});
/// ```
///
/// `A` is the tuple of the arguments, and `R` is the result.
pub trait Handler<A, R>: Send + Sync + 'static {
    /// What the function returns.
    type Future: Future<Output = Result<R, Box<dyn Error + Send + Sync>>> + Send;

    /// Calls the function.
    fn call(&self, arguments: A) -> Self::Future;
}

impl<'a, T, K, R, F, Fut> Handler<(&'a mut Lease<T, K>,), R> for F
where
    K: Ord,
    F: Fn(&'a mut Lease<T, K>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Box<dyn Error + Send + Sync>>> + Send,
{
    type Future = Fut;

    fn call(&self, (lease,): (&'a mut Lease<T, K>,)) -> Fut {
        self(lease)
    }
}

impl<'a, S, T, K, R, F, Fut> Handler<(&'a S, &'a mut Lease<T, K>), R> for F
where
    K: Ord,
    F: Fn(&'a S, &'a mut Lease<T, K>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Box<dyn Error + Send + Sync>>> + Send,
{
    type Future = Fut;

    fn call(&self, (state, lease): (&'a S, &'a mut Lease<T, K>)) -> Fut {
        self(state, lease)
    }
}

/// A handler together with its state, so that it needs only the item.
pub(super) trait Work<T, K: Ord, R>: Send + Sync + 'static {
    /// The error is returned as text, because a report only shows its text.
    fn work(&self, lease: &mut Lease<T, K>) -> impl Future<Output = Result<R, String>> + Send;
}

pub(super) struct Plain<F>(pub(super) F);

pub(super) struct WithState<S, F>(pub(super) S, pub(super) F);

impl<T, K, R, F> Work<T, K, R> for Plain<F>
where
    T: Send,
    K: Ord + Send,
    F: for<'a> Handler<(&'a mut Lease<T, K>,), R>,
{
    async fn work(&self, lease: &mut Lease<T, K>) -> Result<R, String> {
        // The handler is called inside this future, because the call itself may panic.
        self.0.call((lease,)).await.map_err(|error| text(&*error))
    }
}

impl<S, T, K, R, F> Work<T, K, R> for WithState<S, F>
where
    S: Send + Sync + 'static,
    T: Send,
    K: Ord + Send,
    F: for<'a> Handler<(&'a S, &'a mut Lease<T, K>), R>,
{
    async fn work(&self, lease: &mut Lease<T, K>) -> Result<R, String> {
        self.1.call((&self.0, lease)).await.map_err(|error| text(&*error))
    }
}

/// The error and what caused it, as `error: cause: its cause`.
fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
