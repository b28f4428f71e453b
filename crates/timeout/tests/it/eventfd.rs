//! A timer that is earlier than all others makes tokio write to its eventfd, which is a system call. A limit of ours must
//! not cause a write where tokio's own limit would not.

use std::{fs, pin::pin, time::Duration};

use outbound_timeout::{StreamLimits, StreamTimeoutExt, TimeoutExt, timeout};
use tokio::{
    runtime::Runtime,
    task::yield_now,
    time::{Instant, sleep},
};

use crate::ms;

/// The write calls of this thread so far. `None` where the system does not count them.
fn writes() -> Option<u64> {
    let io = fs::read_to_string("/proc/thread-self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("syscw: "))?.trim().parse().ok()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The writes of some operations that are each pending once: some after the runtime was idle, some directly one after the
/// other.
fn cost(earlier: Option<Duration>, operation: impl AsyncFn()) -> Option<u64> {
    runtime().block_on(async {
        let mut earlier = pin!(sleep(earlier.unwrap_or(Duration::from_secs(3_600))));
        assert!(futures::poll!(earlier.as_mut()).is_pending());
        let before = writes()?;
        for _ in 0..10 {
            sleep(ms(1)).await;
            operation().await;
            operation().await;
        }
        Some(writes()? - before)
    })
}

#[test]
fn a_limit_writes_no_more_than_tokios() {
    const LIMIT: Duration = Duration::from_secs(30);
    let Some(before) = writes() else {
        return println!("not tested: this system does not count the write calls of a thread");
    };
    fs::write("/dev/null", "one").unwrap();
    assert_eq!(writes(), Some(before + 1), "the counter sees a write");

    for earlier in [None, Some(Duration::from_secs(10))] {
        let tokios = cost(earlier, async || tokio::time::timeout(LIMIT, yield_now()).await.unwrap());
        let ours = cost(earlier, async || timeout(LIMIT, yield_now()).await.unwrap());
        assert!(ours <= tokios, "ours {ours:?}, tokio's {tokios:?}, with an earlier timer at {earlier:?}");
        let four = cost(earlier, async || {
            let far = Instant::now() + 2 * LIMIT;
            yield_now().timeout(LIMIT).deadline(far).timeout(2 * LIMIT).deadline(far + LIMIT).await.unwrap();
        });
        assert!(
            four <= tokios,
            "four limits {four:?}, tokio's {tokios:?}, with an earlier timer at {earlier:?}"
        );
        let limits = StreamLimits::new().total(3 * LIMIT).first_item(2 * LIMIT).idle(LIMIT);
        let stream = cost(earlier, async || {
            let mut items = pin!(futures::stream::once(yield_now()).limits(limits));
            assert!(futures::StreamExt::next(&mut items).await.is_some());
        });
        assert!(
            stream <= tokios,
            "a stream {stream:?}, tokio's {tokios:?}, with an earlier timer at {earlier:?}"
        );
    }
    let ready = cost(None, async || timeout(LIMIT, async {}).await.unwrap());
    let nothing = cost(None, async || {});
    assert!(ready <= nothing, "a limit on a ready future {ready:?}, no limit {nothing:?}");
}
