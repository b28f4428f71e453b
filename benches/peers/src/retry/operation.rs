//! What is tried.

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

/// An operation that behaves the same whoever retries it. Its error is whatever the crate wants one to be.
pub(super) trait Operation: 'static {
    type Attempt<E: 'static>: Future<Output = Result<u32, E>>;

    /// The attempt with this number, counted from 1.
    fn attempt<E: 'static>(number: u32, error: E) -> Self::Attempt<E>;
}

/// Succeeds at once.
pub(super) struct Succeeds;

impl Operation for Succeeds {
    type Attempt<E: 'static> = Ready<Result<u32, E>>;

    #[inline(always)]
    fn attempt<E: 'static>(_: u32, _: E) -> Self::Attempt<E> {
        ready(black_box(Ok(1)))
    }
}

/// Succeeds at its second poll.
pub(super) struct PendingOnce;

impl Operation for PendingOnce {
    type Attempt<E: 'static> = Once<E>;

    #[inline(always)]
    fn attempt<E: 'static>(_: u32, _: E) -> Self::Attempt<E> {
        black_box(Once(false, PhantomData))
    }
}

pub(super) struct Once<E>(bool, PhantomData<fn() -> E>);

impl<E> Future for Once<E> {
    type Output = Result<u32, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(Ok(1)) } else { Poll::Pending }
    }
}

/// Fails twice, then succeeds; at once. Awaited or polled by hand: a type for each place, since what has one caller only is
/// compiled into it, as it would be in a program.
pub(super) struct FailsTwice<const AWAITED: bool>;

impl<const AWAITED: bool> Operation for FailsTwice<AWAITED> {
    type Attempt<E: 'static> = Ready<Result<u32, E>>;

    #[inline(always)]
    fn attempt<E: 'static>(number: u32, error: E) -> Self::Attempt<E> {
        ready(if number == black_box(3) { Ok(1) } else { Err(error) })
    }
}
