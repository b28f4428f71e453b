use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Weak,
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

/// Runs a connection to its end, and closes idle ones in passing.
pub(crate) async fn drive<K: Keeper>(driver: Driver, history: &History, keeper: &Weak<K>) {
    let mut looking = Looking::new(&history.looks);
    // Dropped before who waits for a look is told that there is none any more.
    let mut driver = driver;
    let mut timer = pin!(Timer::new());
    let sweep = || keeper.upgrade()?.sweep(Instant::now());
    if let Some(next) = sweep() {
        timer.as_mut().set(next);
    }
    // The connection wakes this task several times in a request, the timer hardly ever. This is a task's own future, so
    // its waker is one and the same.
    let mut flag = None;
    poll_fn(|cx| {
        if driver.as_mut().poll(cx).is_ready() {
            history.end();
            return Poll::Ready(());
        }
        let flag = flag.get_or_insert_with(|| {
            looking.begin(cx);
            Flag::raised(cx.waker())
        });
        looking.turn(cx);
        if flag.take() {
            let waker = Waker::from(flag.clone());
            let mut cx = Context::from_waker(&waker);
            while timer.as_mut().poll_elapsed(&mut cx).is_ready() {
                match sweep() {
                    Some(next) => timer.as_mut().set(next),
                    None => timer.as_mut().clear(),
                }
            }
        }
        Poll::Pending
    })
    .await;
}
