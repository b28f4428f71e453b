//! Auto traits, sizes, documented defaults, texts, and what `Debug` shows.

use std::{future::Ready, time::Duration};

use outbound_retry::{
    Attempt, Attempts, Budget, Call, Failed, Hedge, Hedged, Hint, Latencies, Report, Retry, RetryStream,
    StopReason, Verdict, Wait, policy,
};

use crate::ms;

type Output = Result<(), ()>;
type Operation = fn(Attempt) -> Ready<Output>;

#[test]
fn auto_traits() {
    fn send_sync<T: Send + Sync>() {}
    fn unpin<T: Unpin>() {}
    trait AmbiguousIfUnpin<A> {
        fn check() {}
    }
    impl<T: ?Sized> AmbiguousIfUnpin<()> for T {}
    impl<T: ?Sized + Unpin> AmbiguousIfUnpin<u8> for T {}

    type Plain =
        (Attempt, Attempts, Budget, Hedge, Hint, Latencies, Report, Retry, StopReason, Verdict, Wait);
    send_sync::<Plain>();
    unpin::<Plain>();
    send_sync::<Call<policy::AnyError, Operation, Ready<Output>>>();
    send_sync::<RetryStream<policy::AnyError, Operation, Ready<Output>>>();
    send_sync::<Failed<'static, policy::AnyError, ()>>();
    send_sync::<Hedged<'static, policy::AnyError, Operation, Ready<Output>>>();
    // The auto traits of a policy depend on its closures, and not on the types that it judges.
    type Foreign = *const u8;
    send_sync::<policy::When<Foreign, policy::AnyError, fn()>>();
    send_sync::<policy::WhenResult<Foreign, policy::AnyError, fn()>>();
    send_sync::<policy::WaitWith<policy::AnyError, fn(), Foreign>>();
    send_sync::<policy::StopWhen<policy::AnyError, fn(), Foreign>>();
    send_sync::<policy::BeforeSleep<policy::AnyError, fn(), Foreign>>();
    send_sync::<policy::AfterAttempt<policy::AnyError, fn(), Foreign>>();
    // These calls compile only while the types are not `Unpin`. They hold a timer, so they must not be.
    let () = <Call<policy::AnyError, Operation, Ready<Output>> as AmbiguousIfUnpin<_>>::check();
    let () = <RetryStream<policy::AnyError, Operation, Ready<Output>> as AmbiguousIfUnpin<_>>::check();
    let () = <Hedged<'static, policy::AnyError, Operation, Ready<Output>> as AmbiguousIfUnpin<_>>::check();
    let () = <Failed<'static, policy::AnyError, ()> as AmbiguousIfUnpin<_>>::check();
}

#[test]
fn a_call_is_its_policy_its_larger_part_and_72_bytes() {
    fn size<F: FnMut(Attempt) -> Fut, Fut: Future<Output = Output>>(retry: Retry, operation: F) -> usize {
        size_of_val(&retry.call(operation)) - size_of::<Retry>()
    }
    let sleep = size_of::<tokio::time::Sleep>();
    let retry = Retry::attempts(3);
    assert!(size(retry, |_| std::future::ready(Ok(()))) <= sleep + 72);
    let large = size(retry, |_| async {
        let buffer = [0_u8; 1_000];
        std::future::ready(()).await;
        if buffer[0] == 0 { Ok(()) } else { Err(()) }
    });
    assert!(large <= 1_001 + 7 + 72 + 8, "{large}");
}

#[test]
fn defaults_are_as_documented() {
    let documented = Retry::attempts(4)
        .wait(Wait::exponential(ms(500)).factor(2.0).min(Duration::ZERO).max(ms(30_000)).full_jitter())
        .hint(Hint::Floor)
        .give_up_beyond(Duration::MAX)
        .enabled(true);
    assert_eq!(Retry::attempts(4), documented);
    assert_ne!(Retry::attempts(4), documented.within(Duration::MAX));
    let limited = Retry::attempts(4).attempt_timeout(ms(5));
    assert_ne!(limited, documented.attempt_timeout(Duration::MAX));
    assert_ne!(Retry::attempts(4), documented.seed(1));
    assert_ne!(Retry::attempts(4), documented.until(tokio::time::Instant::now()));
    assert_ne!(Retry::attempts(4), documented.outermost());
    assert_eq!(Retry::attempts(0), Retry::attempts(1));
    assert_eq!(Retry::attempts(9).max_attempts(4), documented);
    assert_eq!(Retry::attempts(9).max_attempts(0), Retry::attempts(1));
    assert_eq!(Hint::default(), Hint::Floor);
    assert_eq!(Wait::fixed(ms(1)), Wait::fixed(ms(1)).min(Duration::ZERO).max(Duration::MAX));
    assert_eq!(Verdict::from(true), Verdict::Retry);
    assert_eq!(Verdict::from(false), Verdict::Stop);
}

#[test]
fn a_call_of_a_const_policy_is_static() {
    const POLICY: Retry =
        Retry::attempts(3).within(ms(1)).wait(Wait::incrementing(ms(1), ms(2)).equal_jitter());
    fn anywhere<T: 'static>(_: T) {}
    anywhere(POLICY.call(|_| std::future::ready(Output::Ok(()))));
    anywhere(POLICY.when(|&()| true).call(|_| std::future::ready(Output::Ok(()))));
    anywhere(POLICY.start());
    const HEDGE: Hedge = Hedge::at_percentile(95).min_delay(ms(5));
    anywhere(HEDGE.when(|&()| true));
}

#[test]
fn reasons_read_as_text() {
    assert_eq!(StopReason::Deadline.to_string(), "no time left for another attempt");
    assert_eq!(StopReason::Budget.to_string(), "retry budget spent");
}

#[test]
fn debug_shows_no_error_and_no_operation() {
    let retry = Retry::attempts(2).wait(Wait::none());
    let call = retry.when(|_: &String| true).call(|_| std::future::ready(Err::<(), _>("secret".to_owned())));
    let shown = format!("{call:?} {:?}", retry.start().failed("secret"));
    assert!(shown.contains("When") && !shown.contains("secret"), "{shown}");
}
