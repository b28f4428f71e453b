//! The extension traits: limits as methods of futures and streams.

use std::{
    future::{Future, IntoFuture},
    time::Duration,
};

use futures_core::Stream;

use crate::{Counts, Deadline, Elapsed, Joined, Limited, StreamLimits, Timeout, Until, timeout, timeout_at};

/// Limits on futures, as methods.
pub trait TimeoutExt: Future + Sized {
    /// Gives this future this much time to finish, counted from its first `Pending`. See [`timeout`].
    fn timeout(self, duration: Duration) -> Timeout<Self> {
        timeout(duration, self)
    }

    /// Gives this future until `deadline` to finish: an [`Instant`](tokio::time::Instant), an `Option` of one, or a
    /// [`Deadline`]. See [`timeout_at`].
    fn deadline(self, deadline: impl Into<Deadline>) -> Timeout<Self> {
        timeout_at(deadline, self)
    }

    /// For a limited future whose output is a `Result`: makes one error type of the two. `Result<Result<T, E>, Elapsed>`
    /// becomes `Result<T, E>`, where `E: From<Elapsed>`. Call it last, after the limits.
    ///
    /// ```
    /// use std::{io, time::Duration};
    /// use outbound_timeout::TimeoutExt;
    ///
    /// # async fn fetch() -> io::Result<u16> { std::future::pending().await }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let reply: io::Result<u16> = fetch().timeout(Duration::from_secs(2)).joined().await;
    /// assert_eq!(reply.unwrap_err().kind(), io::ErrorKind::TimedOut);
    /// # }
    /// ```
    fn joined<T, E>(self) -> Joined<Self>
    where
        Self: Future<Output = Result<Result<T, E>, Elapsed>>,
        E: From<Elapsed>,
    {
        Joined::new(self)
    }

    /// Ends this future with `Err` as soon as `signal` is ready. The signal can be any future: a cancellation token, the
    /// receiver of a channel, ctrl-c. See [`Until`].
    ///
    /// ```
    /// use outbound_timeout::TimeoutExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (stop, stopped) = tokio::sync::oneshot::channel();
    /// let work = std::future::pending::<()>().until(stopped);
    /// stop.send("shutting down").unwrap();
    /// assert_eq!(work.await, Err(Ok("shutting down")));
    /// # }
    /// ```
    fn until<S: IntoFuture>(self, signal: S) -> Until<Self, S::IntoFuture> {
        Until::new(self, signal.into_future())
    }
}

impl<F: Future> TimeoutExt for F {}

/// Limits on streams, as a method.
pub trait StreamTimeoutExt: Stream + Sized {
    /// Puts limits on this stream: in all, to its first item, between items. See [`StreamLimits`].
    ///
    /// ```
    /// use std::{pin::pin, time::Duration};
    /// use futures::{StreamExt, stream};
    /// use outbound_timeout::{Limit, StreamLimits, StreamTimeoutExt};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let stalled = stream::iter(["first", "second"]).chain(stream::pending());
    /// let limits = StreamLimits::new().first_item(Duration::from_secs(60)).idle(Duration::from_secs(10));
    /// let mut items = pin!(stalled.limits(limits));
    /// assert_eq!(items.next().await, Some(Ok("first")));
    /// assert_eq!(items.next().await, Some(Ok("second")));
    /// assert_eq!(items.next().await.unwrap().unwrap_err().limit(), Limit::Idle);
    /// assert_eq!(items.next().await, None);
    /// # }
    /// ```
    fn limits(self, limits: StreamLimits) -> Limited<Self, fn(&Self::Item) -> Counts> {
        Limited::new(self, limits, |_| Counts::Item)
    }
}

impl<S: Stream> StreamTimeoutExt for S {}
