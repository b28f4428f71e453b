use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use outbound_timer::Timer;
use tokio::time::Instant;

use super::{Connection, History};
use crate::{alarm::Flag, look::Looking};

/// What a connection tells those who keep it.
pub(crate) trait Keeper: Send + Sync {
    /// Looks for connections that have been idle or open for too long. When to look again.
    fn sweep(&self, now: Instant) -> Option<Instant>;

    /// A request over the HTTP/2 connection of this number has ended; what it needed can serve another.
    fn stream_ended(&self, id: u64, spare: Option<Connection>);

    /// The server allows another number of streams than before.
    fn limit_streams(&self, id: u64, limit: usize);

    /// An HTTP/2 connection that was suspected to be dead has answered.
    fn answered(&self);
}

/// What reads and writes a connection until it is closed.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a connection to its end, and closes idle ones in passing. It is a task's own future, so its waker is one and the
/// same.
pub(crate) struct Drive<'a, K> {
    // Dropped before who waits for a look is told that there is none any more.
    driver: Driver,
    looking: Looking<'a>,
    history: &'a History,
    keeper: &'a Weak<K>,
    // For what has been idle or open for too long, and the flag that it raises. The connection wakes this task several
    // times in a request, the timer hardly ever.
    timer: Pin<Box<Timer>>,
    flag: Option<Arc<Flag>>,
}

impl<'a, K: Keeper> Drive<'a, K> {
    pub(crate) fn new(driver: Driver, history: &'a History, keeper: &'a Weak<K>) -> Self {
        let looking = Looking::new(&history.looks);
        let mut drive = Self { driver, looking, history, keeper, timer: Box::pin(Timer::new()), flag: None };
        drive.sweep();
        drive
    }

    fn sweep(&mut self) {
        let next = self.keeper.upgrade().and_then(|keeper| keeper.sweep(Instant::now()));
        match next {
            Some(next) => self.timer.as_mut().set(next),
            None => self.timer.as_mut().clear(),
        }
    }

    #[cold]
    fn poll_timer(&mut self, flag: &Arc<Flag>) {
        let waker = Waker::from(flag.clone());
        while self.timer.as_mut().poll_elapsed(&mut Context::from_waker(&waker)).is_ready() {
            self.sweep();
        }
    }
}

impl<K: Keeper> Future for Drive<'_, K> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.driver.as_mut().poll(cx).is_ready() {
            this.history.end();
            return Poll::Ready(());
        }
        let flag = this.flag.get_or_insert_with(|| {
            this.looking.begin(cx);
            Flag::raised(cx.waker())
        });
        this.looking.turn(cx);
        if flag.take() {
            let flag = flag.clone();
            this.poll_timer(&flag);
        }
        Poll::Pending
    }
}
