//! No limit allocates, except the handle of `timeout_with`.

use std::{
    future::{Future, pending, ready},
    pin::pin,
    task::{Context, Waker},
};

use futures::{Stream, stream};
use outbound_timeout::{Deadline, StreamLimits, StreamTimeoutExt, TimeoutExt, timeout};

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
    let limits = StreamLimits::new().total(ms(50)).first_item(ms(10)).idle(ms(10));
    let count = allocations(|| {
        assert!(pin!(timeout(ms(10), ready(()))).poll(&mut cx).is_ready());

        let deadline = Deadline::after(ms(20));
        let mut limited = pin!(pending::<()>().timeout(ms(10)).deadline(deadline).until(pending::<()>()));
        assert!(limited.as_mut().poll(&mut cx).is_pending());
        assert!(limited.as_mut().poll(&mut cx).is_pending());

        let mut limited = pin!(stream::iter([1, 2]).limits(limits));
        for _ in 0..3 {
            assert!(limited.as_mut().poll_next(&mut cx).is_ready());
        }
        let mut limited = pin!(stream::pending::<()>().limits(limits));
        assert!(limited.as_mut().poll_next(&mut cx).is_pending());
    });
    assert_eq!(count, 0);
}
