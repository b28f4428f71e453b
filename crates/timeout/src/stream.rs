use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use outbound_timer::Timer;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{Deadline, Elapsed, Limit};

/// The limits in time that a stream can have. Plain data, usable in a `const`; nothing is limited by default.
///
/// | limit | counts from | default |
/// |---|---|---|
/// | [`total`](Self::total) | the first poll, to the end of the stream | none |
/// | [`deadline`](Self::deadline) | fixed | none |
/// | [`first_item`](Self::first_item) | the first `Pending`, to the first item | none |
/// | [`idle`](Self::idle) | the first `Pending` after an item, to the next item or the end | none |
///
/// The time a consumer takes between two polls is not the stream's silence: only waiting counts for `first_item` and
/// `idle`. It does count for `total` and `deadline`, which end even a stream that always has an item ready; for that
/// the clock is read once for each item when one of the two is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "limits do nothing until they are put on a stream"]
pub struct StreamLimits {
    total: Option<Duration>,
    deadline: Deadline,
    first_item: Option<Duration>,
    idle: Option<Duration>,
}

impl StreamLimits {
    /// No limits.
    pub const fn new() -> Self {
        Self { total: None, deadline: Deadline::NEVER, first_item: None, idle: None }
    }

    /// The longest the whole stream may take.
    pub const fn total(mut self, duration: Duration) -> Self {
        self.total = Some(duration);
        self
    }

    /// When the whole stream must have ended. With [`total`](Self::total) too, the earlier of the two counts.
    pub fn deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// The longest the first item may take. Until it has come, [`idle`](Self::idle) does not apply.
    pub const fn first_item(mut self, duration: Duration) -> Self {
        self.first_item = Some(duration);
        self
    }

    /// The longest silence between two items, and before the end. It applies before the first item too, but only where
    /// there is no [`first_item`](Self::first_item) limit.
    pub const fn idle(mut self, duration: Duration) -> Self {
        self.idle = Some(duration);
        self
    }
}

/// What an item is to the limits of its stream; see [`Limited::counting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counts {
    /// An item proper: it satisfies the first-item limit and restarts the idle limit.
    Item,
    /// A sign of life, such as a comment or a ping: it restarts the idle limit, but the first item is still awaited.
    Activity,
    /// Nothing: no limit takes notice of it.
    Nothing,
}

pin_project! {
    /// A stream with limits in time; made by [`StreamTimeoutExt::limits`](crate::StreamTimeoutExt::limits).
    ///
    /// Yields the stream's items as `Ok`. When a limit passes it drops the stream, yields one [`Elapsed`] that says
    /// which limit it was, and ends. All limits share one timer; an item costs no lock and no registration.
    ///
    /// Dropping it drops the limited stream and the wake-up. No item is lost by dropping its `next` future.
    #[must_use = "streams do nothing unless polled"]
    pub struct Limited<S, C> {
        // `None` once a limit has passed or the stream has ended.
        #[pin]
        stream: Option<S>,
        counts: C,
        limits: StreamLimits,
        #[pin]
        timer: Timer,
        clock: Clock,
    }
}

/// How far the limits of one stream have run.
#[derive(Debug)]
struct Clock {
    // When the whole stream must end; known from the first poll on.
    whole_ends: Option<Deadline>,
    // The wait in progress: for the first item, or for the next.
    wait: Limit,
    wait_ends: Deadline,
    // The wait in progress is new: its time starts with the next `Pending`.
    restart: bool,
    // The latest poll was `Pending`. What it waited for goes before any limit, as with futures.
    waiting: bool,
}

impl<S, C> Limited<S, C> {
    pub(crate) const fn new(stream: S, limits: StreamLimits, counts: C) -> Self {
        let wait = if limits.first_item.is_some() { Limit::FirstItem } else { Limit::Idle };
        let clock =
            Clock { whole_ends: None, wait, wait_ends: Deadline::NEVER, restart: true, waiting: false };
        Self { stream: Some(stream), counts, limits, timer: Timer::new(), clock }
    }

    /// Lets `counts` say what each item is to the limits; without it every item is a [`Counts::Item`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use futures::{StreamExt, stream};
    /// use outbound_timeout::{Counts, Limit, StreamLimits, StreamTimeoutExt};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// // A dead generation kept "alive" by a comment every ten seconds.
    /// let comments = stream::unfold((), |()| async {
    ///     tokio::time::sleep(Duration::from_secs(10)).await;
    ///     Some((": PROCESSING", ()))
    /// });
    /// let limits = StreamLimits::new().first_item(Duration::from_secs(60)).idle(Duration::from_secs(15));
    /// let items = comments.limits(limits).counting(|line| match line.starts_with(':') {
    ///     true => Counts::Activity,
    ///     false => Counts::Item,
    /// });
    /// let last = items.collect::<Vec<_>>().await.pop().unwrap();
    /// assert_eq!(last.unwrap_err().limit(), Limit::FirstItem);
    /// # }
    /// ```
    pub fn counting<G>(self, counts: G) -> Limited<S, G>
    where
        S: Stream,
        G: FnMut(&S::Item) -> Counts,
    {
        Limited { stream: self.stream, counts, limits: self.limits, timer: self.timer, clock: self.clock }
    }

    /// The limited stream, until it has ended or a limit has passed.
    pub const fn get_ref(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// The limited stream, pinned, until it has ended or a limit has passed.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Option<Pin<&mut S>> {
        self.project().stream.as_pin_mut()
    }

    /// The limited stream without its limits, unless it has ended or a limit has passed.
    pub fn into_inner(self) -> Option<S> {
        self.stream
    }
}

impl<S: Stream, C: FnMut(&S::Item) -> Counts> Stream for Limited<S, C> {
    type Item = Result<S::Item, Elapsed>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let now = match this.clock.check_whole(this.limits) {
            Ok(now) => now,
            Err(elapsed) => {
                this.stream.set(None);
                this.timer.clear();
                return Poll::Ready(Some(Err(elapsed)));
            }
        };
        match stream.poll_next(cx) {
            Poll::Ready(Some(item)) => {
                this.clock.note((this.counts)(&item));
                Poll::Ready(Some(Ok(item)))
            }
            Poll::Ready(None) => {
                this.stream.set(None);
                this.timer.clear();
                Poll::Ready(None)
            }
            Poll::Pending => this.clock.poll_wait(this.timer.as_mut(), this.limits, now, cx).map(|elapsed| {
                this.stream.set(None);
                this.timer.clear();
                Some(Err(elapsed))
            }),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.stream {
            // A limit may end it at any time, with one error in place of the rest.
            Some(stream) => (0, stream.size_hint().1.and_then(|upper| upper.checked_add(1))),
            None => (0, Some(0)),
        }
    }
}

impl Clock {
    /// Ends the stream where its whole time is over. Gives the reading of the clock, where there was one.
    #[inline]
    fn check_whole(&mut self, limits: &StreamLimits) -> Result<Option<Instant>, Elapsed> {
        if self.waiting || (limits.total.is_none() && limits.deadline == Deadline::NEVER) {
            return Ok(None);
        }
        let now = Instant::now();
        match self.whole_ends {
            None => {
                // The first poll goes through whatever the time is: what is ready at once is given.
                let ends = limits.deadline.min(limits.total.and_then(|total| now.checked_add(total)));
                self.whole_ends = Some(ends);
                Ok(Some(now))
            }
            Some(ends) if ends <= Deadline::at(now) => Err(self.elapsed(limits, ends)),
            Some(_) => Ok(Some(now)),
        }
    }

    #[inline]
    fn note(&mut self, counts: Counts) {
        self.waiting = false;
        match (counts, self.wait) {
            (Counts::Item, _) => {
                self.wait = Limit::Idle;
                self.restart = true;
            }
            (Counts::Activity, Limit::Idle) => self.restart = true,
            (Counts::Activity | Counts::Nothing, _) => {}
        }
    }

    fn poll_wait(
        &mut self,
        mut timer: Pin<&mut Timer>,
        limits: &StreamLimits,
        now: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Elapsed> {
        self.waiting = true;
        let poll = if self.restart {
            self.restart = false;
            let wait = if self.wait == Limit::FirstItem { limits.first_item } else { limits.idle };
            if wait.is_none() && self.whole_ends.is_none() {
                self.wait_ends = Deadline::NEVER;
                timer.clear();
                return Poll::Pending;
            }
            let now = now.unwrap_or_else(Instant::now);
            self.wait_ends = wait.and_then(|wait| now.checked_add(wait)).into();
            let Some(ends) = self.ends().instant() else {
                timer.clear();
                return Poll::Pending;
            };
            timer.as_mut().set(ends);
            timer.poll_elapsed_at(cx, now)
        } else {
            match now {
                Some(now) => timer.poll_elapsed_at(cx, now),
                None => timer.poll_elapsed(cx),
            }
        };
        poll.map(|()| self.elapsed(limits, self.ends()))
    }

    fn ends(&self) -> Deadline {
        self.wait_ends.min(self.whole_ends.unwrap_or(Deadline::NEVER))
    }

    fn elapsed(&self, limits: &StreamLimits, ends: Deadline) -> Elapsed {
        if Some(ends) != self.whole_ends {
            let after = if self.wait == Limit::FirstItem { limits.first_item } else { limits.idle };
            Elapsed::new(self.wait, after)
        } else if ends == limits.deadline {
            Elapsed::new(Limit::Deadline, None)
        } else {
            Elapsed::new(Limit::Total, limits.total)
        }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Limited<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited")
            .field("stream", &self.stream)
            .field("limits", &self.limits)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
