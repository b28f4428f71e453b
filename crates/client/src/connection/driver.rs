//! The future that runs a connection to its end.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use outbound_timer::Timer;
use tokio::time::Instant;

use super::{Connection, History};
use crate::{look::Looking, reused_timer::WakeFlag};

/// What the driver of a connection reports to the owner of the connection, which is the pool.
pub(crate) trait ConnectionOwner: Send + Sync {
    /// Closes connections that were idle or open for too long. Returns when to call it again.
    fn sweep(&self, now: Instant) -> Option<Instant>;

    /// A request on the HTTP/2 connection with this number has ended. Another request can use its `spare` sending
    /// half.
    fn stream_ended(&self, id: u64, spare: Option<Connection>);

    /// The server has changed the number of streams that it allows.
    fn limit_streams(&self, id: u64, limit: usize);

    /// A suspected HTTP/2 connection has answered.
    fn answered(&self);
}

/// The future that reads and writes a connection until it is closed.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a connection to its end, and also closes idle connections of the pool. It is the future of a whole task, so
/// its waker never changes.
pub(crate) struct Drive<'a, K> {
    // Dropped first. Only then those who wait for a last look are told that the task has ended.
    driver: Driver,
    looking: Looking<'a>,
    history: &'a History,
    owner: &'a Weak<K>,
    // For connections that were idle or open for too long, with the flag that its wake-up sets. The connection wakes
    // this task several times in a request, but the timer hardly ever.
    timer: Pin<Box<Timer>>,
    flag: Option<Arc<WakeFlag>>,
}

impl<'a, K: ConnectionOwner> Drive<'a, K> {
    pub(crate) fn new(driver: Driver, history: &'a History, owner: &'a Weak<K>) -> Self {
        let looking = Looking::new(&history.looks);
        let mut drive = Self { driver, looking, history, owner, timer: Box::pin(Timer::new()), flag: None };
        drive.sweep();
        drive
    }

    fn sweep(&mut self) {
        let next = self.owner.upgrade().and_then(|owner| owner.sweep(Instant::now()));
        match next {
            Some(next) => self.timer.as_mut().set(next),
            None => self.timer.as_mut().clear(),
        }
    }

    #[cold]
    fn poll_timer(&mut self, flag: &Arc<WakeFlag>) {
        let waker = Waker::from(flag.clone());
        while self.timer.as_mut().poll_elapsed(&mut Context::from_waker(&waker)).is_ready() {
            self.sweep();
        }
    }
}

impl<K: ConnectionOwner> Future for Drive<'_, K> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.driver.as_mut().poll(cx).is_ready() {
            this.history.end();
            return Poll::Ready(());
        }
        let flag = this.flag.get_or_insert_with(|| {
            this.looking.begin(cx);
            WakeFlag::raised(cx.waker())
        });
        this.looking.turn(cx);
        if flag.take() {
            let flag = flag.clone();
            this.poll_timer(&flag);
        }
        Poll::Pending
    }
}
