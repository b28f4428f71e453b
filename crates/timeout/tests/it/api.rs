//! Auto traits, sizes, `Deadline` as a value, defaults, and the texts of errors.

use std::{
    future::{Pending, pending},
    io,
    time::Duration,
};

use outbound_timeout::{
    Counts, Deadline, Elapsed, Joined, Limit, Limited, StreamLimits, StreamTimeoutExt, Timeout, TimeoutExt,
    TimeoutHandle, TimeoutWith, Until, timeout,
};
use tokio::time::Instant;

use crate::ms;

#[test]
fn auto_traits() {
    fn send_sync<T: Send + Sync>() {}
    fn unpin<T: Unpin>() {}
    trait AmbiguousIfUnpin<A> {
        fn check() {}
    }
    impl<T: ?Sized> AmbiguousIfUnpin<()> for T {}
    impl<T: ?Sized + Unpin> AmbiguousIfUnpin<u8> for T {}

    type Inner = futures::stream::Pending<()>;
    send_sync::<Timeout<Pending<()>>>();
    send_sync::<Until<Pending<()>, Pending<()>>>();
    send_sync::<Limited<Inner, fn(&()) -> Counts>>();
    send_sync::<(TimeoutWith<Pending<()>>, TimeoutHandle, Joined<Pending<()>>)>();
    unpin::<(TimeoutHandle, Joined<Pending<()>>)>();
    send_sync::<(Deadline, Elapsed, Limit, StreamLimits, Counts)>();
    unpin::<(Deadline, Elapsed, Limit, StreamLimits, Counts)>();
    unpin::<Until<Pending<()>, Pending<()>>>();
    // These calls compile only while the types are not `Unpin`. They hold a timer, so they must not be.
    let () = <Timeout<Pending<()>> as AmbiguousIfUnpin<_>>::check();
    let () = <TimeoutWith<Pending<()>> as AmbiguousIfUnpin<_>>::check();
    let () = <Limited<Inner, fn(&()) -> Counts> as AmbiguousIfUnpin<_>>::check();
}

#[test]
fn a_timeout_is_not_much_larger_than_a_timer() {
    assert!(size_of::<Timeout<Pending<()>>>() <= size_of::<tokio::time::Sleep>() + 24);
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_values() {
    let now = Instant::now();
    let deadline = Deadline::after(ms(30));
    assert_eq!(deadline, Deadline::at(now + ms(30)));
    assert_eq!(deadline.instant(), Some(now + ms(30)));
    assert_eq!(deadline.remaining(), ms(30));
    assert!(!deadline.is_past());
    assert_eq!(deadline.min(Deadline::NEVER), deadline);
    assert_eq!(Deadline::NEVER.min(deadline), deadline);
    assert_eq!(deadline.min(now + ms(7)), Deadline::at(now + ms(7)));
    assert_eq!(deadline.min(None), deadline);
    assert!(deadline < Deadline::NEVER);
    assert_eq!(Deadline::from(None), Deadline::NEVER);
    assert_eq!(Deadline::default(), Deadline::NEVER);

    tokio::time::advance(ms(30)).await;
    assert!(deadline.is_past(), "at exactly its instant it has passed");
    assert_eq!(deadline.remaining(), Duration::ZERO);
    tokio::time::advance(ms(30)).await;
    assert_eq!(deadline.remaining(), Duration::ZERO);
}

#[test]
fn never_is_the_end_of_the_range() {
    assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
    assert_eq!(Deadline::NEVER.remaining(), Duration::MAX);
    assert_eq!(Deadline::NEVER.instant(), None);
    assert!(!Deadline::NEVER.is_past());
}

#[test]
fn nothing_is_limited_by_default() {
    const NONE: StreamLimits = StreamLimits::new();
    assert_eq!(NONE, StreamLimits::default());
    assert_eq!(NONE, StreamLimits::new().deadline(Deadline::NEVER));
    assert_ne!(NONE, StreamLimits::new().idle(Duration::MAX));
}

#[tokio::test(start_paused = true)]
async fn errors_say_which_limit_and_how_long() {
    let elapsed = timeout(ms(1500), pending::<()>()).await.unwrap_err();
    assert_eq!((elapsed.limit(), elapsed.after()), (Limit::Duration, Some(ms(1500))));
    assert_eq!(elapsed.to_string(), "not done within 1.5s (duration limit)");

    let elapsed = pending::<()>().deadline(Instant::now()).await.unwrap_err();
    assert_eq!((elapsed.limit(), elapsed.after()), (Limit::Deadline, None));
    assert_eq!(elapsed.to_string(), "not done by its deadline");

    async fn first_error(limits: StreamLimits) -> Elapsed {
        use futures::StreamExt;
        let stream = futures::stream::pending::<()>().limits(limits);
        stream.map(Result::unwrap_err).boxed().next().await.unwrap()
    }
    let s60 = Duration::from_secs(60);
    for (limits, limit, text) in [
        (StreamLimits::new().idle(s60), Limit::Idle, "no item within 60s (idle limit)"),
        (
            StreamLimits::new().first_item(s60),
            Limit::FirstItem,
            "no first item within 60s (first-item limit)",
        ),
        (StreamLimits::new().total(s60), Limit::Total, "stream not finished within 60s (total limit)"),
    ] {
        let elapsed = first_error(limits).await;
        assert_eq!((elapsed.limit(), elapsed.after()), (limit, Some(s60)));
        assert_eq!(elapsed.to_string(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_becomes_an_io_error() {
    async fn connect() -> io::Result<()> {
        Ok(timeout(ms(5), pending::<()>()).await?)
    }
    let error = connect().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.get_ref().unwrap().downcast_ref::<Elapsed>().unwrap().after(), Some(ms(5)));
}
