//! Streams with limits: for the whole, to the first item, between items.

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

/// The limits in time that a stream can have. It is plain data and usable in a `const`. By default nothing is limited.
///
/// | limit | counts from | default |
/// |---|---|---|
/// | [`total`](Self::total) | the first poll, to the end of the stream | none |
/// | [`deadline`](Self::deadline) | fixed | none |
/// | [`first_item`](Self::first_item) | the first `Pending`, to the first item | none |
/// | [`idle`](Self::idle) | the first `Pending` after an item, to the next item or the end | none |
///
/// For `first_item` and `idle` only waiting counts. The time that a consumer takes between two polls is no silence of the
/// stream. For `total` and `deadline` all time counts: they end even a stream that always has an item ready. For this the
/// clock is read once for each item, where one of the two is set.
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

    /// The longest time that the whole stream may take.
    pub const fn total(mut self, duration: Duration) -> Self {
        self.total = Some(duration);
        self
    }

    /// The instant by which the whole stream must have ended. Where [`total`](Self::total) is set too, the earlier of the
    /// two counts.
    pub fn deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.deadline = deadline.into();
        self
    }

    /// The longest time that the first item may take. Until it has come, [`idle`](Self::idle) does not apply.
    pub const fn first_item(mut self, duration: Duration) -> Self {
        self.first_item = Some(duration);
        self
    }

    /// The longest silence between two items, and between the last item and the end. Before the first item it applies only
    /// where there is no [`first_item`](Self::first_item) limit.
    pub const fn idle(mut self, duration: Duration) -> Self {
        self.idle = Some(duration);
        self
    }
}

/// What an item means to the limits of its stream; see [`Limited::counting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counts {
    /// A real item: it ends the first-item limit and restarts the idle limit.
    Item,
    /// A sign of life, such as a comment or a ping: it restarts the idle limit. The first item is still awaited.
    Activity,
    /// Nothing: it changes no limit.
    Nothing,
}

pin_project! {
    /// A stream with limits in time; made by [`StreamTimeoutExt::limits`](crate::StreamTimeoutExt::limits).
    ///
    /// It yields the stream's items as `Ok`. When a limit passes it drops the stream, yields one [`Elapsed`] that says
    /// which limit it was, and ends. All limits share one timer. An item costs no lock and no registration.
    ///
    /// Dropping it drops the limited stream and the wake-up. Dropping its `next` future loses no item.
    #[must_use = "streams do nothing unless polled"]
    pub struct Limited<S, C> {
        // `None` once a limit has passed or the stream has ended.
        #[pin]
        stream: Option<S>,
        counts: C,
        limits: StreamLimits,
        #[pin]
        timer: Timer,
        state: LimitState,
    }
}

/// The state of the limits of one stream: what has started, and when it ends.
#[derive(Debug)]
struct LimitState {
    // The deadline of the whole stream. `None` before the first poll.
    whole_deadline: Option<Deadline>,
    // What the stream waits for: `FirstItem` or `Idle`.
    wait: Limit,
    wait_deadline: Deadline,
    // The wait is new: its time starts with the next `Pending`.
    restart: bool,
    // The latest poll returned `Pending`. Then the next poll asks the stream before any limit, as for futures.
    waiting: bool,
}

impl<S, C> Limited<S, C> {
    pub(crate) const fn new(stream: S, limits: StreamLimits, counts: C) -> Self {
        let wait = if limits.first_item.is_some() { Limit::FirstItem } else { Limit::Idle };
        let state = LimitState {
            whole_deadline: None,
            wait,
            wait_deadline: Deadline::NEVER,
            restart: true,
            waiting: false,
        };
        Self { stream: Some(stream), counts, limits, timer: Timer::new(), state }
    }

    /// Lets `counts` say what each item means to the limits. Without it every item is a [`Counts::Item`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use futures::{StreamExt, stream};
    /// use outbound_timeout::{Counts, Limit, StreamLimits, StreamTimeoutExt};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// // The server sends a comment every ten seconds, but never an item.
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
        Limited { stream: self.stream, counts, limits: self.limits, timer: self.timer, state: self.state }
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
        let now = match this.state.check_whole(this.limits) {
            Ok(now) => now,
            Err(elapsed) => {
                this.stream.set(None);
                this.timer.clear();
                return Poll::Ready(Some(Err(elapsed)));
            }
        };
        match stream.poll_next(cx) {
            Poll::Ready(Some(item)) => {
                this.state.note((this.counts)(&item));
                Poll::Ready(Some(Ok(item)))
            }
            Poll::Ready(None) => {
                this.stream.set(None);
                this.timer.clear();
                Poll::Ready(None)
            }
            Poll::Pending => this.state.poll_wait(this.timer.as_mut(), this.limits, now, cx).map(|elapsed| {
                this.stream.set(None);
                this.timer.clear();
                Some(Err(elapsed))
            }),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.stream {
            // A limit may end the stream at any time, with one error in place of the remaining items.
            Some(stream) => (0, stream.size_hint().1.and_then(|upper| upper.checked_add(1))),
            None => (0, Some(0)),
        }
    }
}

impl LimitState {
    /// `Err` where a limit on the whole stream has passed. Otherwise the reading of the clock, if it was read.
    #[inline]
    fn check_whole(&mut self, limits: &StreamLimits) -> Result<Option<Instant>, Elapsed> {
        if self.waiting || (limits.total.is_none() && limits.deadline == Deadline::NEVER) {
            return Ok(None);
        }
        let now = Instant::now();
        match self.whole_deadline {
            None => {
                // The first poll always asks the stream, so that an item that is ready at once is given.
                let deadline = limits.deadline.min(limits.total.and_then(|total| now.checked_add(total)));
                self.whole_deadline = Some(deadline);
                Ok(Some(now))
            }
            Some(deadline) if deadline <= Deadline::at(now) => Err(self.elapsed(limits, deadline)),
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
            if wait.is_none() && self.whole_deadline.is_none() {
                self.wait_deadline = Deadline::NEVER;
                timer.clear();
                return Poll::Pending;
            }
            let now = now.unwrap_or_else(Instant::now);
            self.wait_deadline = wait.and_then(|wait| now.checked_add(wait)).into();
            let Some(deadline) = self.deadline().instant() else {
                timer.clear();
                return Poll::Pending;
            };
            timer.as_mut().set(deadline);
            timer.poll_elapsed_at(cx, now)
        } else {
            match now {
                Some(now) => timer.poll_elapsed_at(cx, now),
                None => timer.poll_elapsed(cx),
            }
        };
        poll.map(|()| self.elapsed(limits, self.deadline()))
    }

    fn deadline(&self) -> Deadline {
        self.wait_deadline.min(self.whole_deadline.unwrap_or(Deadline::NEVER))
    }

    fn elapsed(&self, limits: &StreamLimits, deadline: Deadline) -> Elapsed {
        if Some(deadline) != self.whole_deadline {
            let after = if self.wait == Limit::FirstItem { limits.first_item } else { limits.idle };
            Elapsed::new(self.wait, after)
        } else if deadline == limits.deadline {
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
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
