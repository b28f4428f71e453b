//! Neither a call, a loop, a stream nor a hedge allocates.

use std::{
    future::{Future, pending, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use outbound_retry::{Budget, Hedge, Latencies, Retry, Wait};

use crate::ms;

fn allocations(run: impl FnOnce()) -> u64 {
    allocation_counter::measure(run).count_total
}

#[test]
fn nothing_here_allocates() {
    assert_eq!(allocations(|| drop(Box::new([0_u8; 64]))), 1, "the counter sees an allocation");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let budget = Budget::percent(10);
    let at_once = Retry::attempts(3).wait(Wait::none());
    let slow = Retry::attempts(3).within(ms(1_000)).wait(Wait::exponential(ms(50)).equal_jitter());
    let latencies = Latencies::new();
    // The first draw of a thread sets up its random generator, which may allocate.
    assert!(slow.start().decide(true).is_ok());
    let count = allocations(|| {
        let success = at_once.budget(&budget).call(|_| ready(Ok::<_, ()>(1)));
        assert_eq!(pin!(success).poll(&mut cx), Poll::Ready(Ok(1)));
        let third = at_once.call(|attempt| ready(if attempt.number() == 3 { Ok(()) } else { Err(()) }));
        assert_eq!(pin!(third).poll(&mut cx), Poll::Ready(Ok(())));
        let waiting = slow.budget(&budget).call(|_| ready(Err::<(), _>(())));
        assert!(pin!(waiting).poll(&mut cx).is_pending());
        let working = slow.call(|_| pending::<Result<(), ()>>());
        assert!(pin!(working).poll(&mut cx).is_pending());
        assert!(pin!(slow.start().failed(())).poll(&mut cx).is_pending());
        (0..600).for_each(|n| latencies.record(ms(n)));
        let hedged =
            Hedge::at_percentile(95).call_idempotent(&latencies, &budget, |_| pending::<Result<(), ()>>());
        assert!(pin!(hedged).poll(&mut cx).is_pending());
    });
    assert_eq!(count, 0);
}
