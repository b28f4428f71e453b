//! When a timer elapses, when it wakes, and what it leaves behind when it is cleared or dropped.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use outbound_timer::Timer;
use tokio::time::{Instant, advance};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Polls once with a waker that wakes nothing.
fn poll_once(timer: Pin<&mut Timer>) -> Poll<()> {
    timer.poll_elapsed(&mut Context::from_waker(Waker::noop()))
}

async fn elapsed(mut timer: Pin<&mut Timer>) {
    poll_fn(|cx| timer.as_mut().poll_elapsed(cx)).await;
}

/// Lets real time pass while the runtime is idle, as when it waits for another thread. An idle paused clock moves to the
/// next wake-up that is registered.
async fn idle_in_real_time() {
    let (done, waiting) = tokio::sync::oneshot::channel();
    let worker = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_millis(20));
        done.send(())
    });
    waiting.await.expect("the worker answers");
    worker.join().expect("the worker ends").expect("the receiver is still there");
}

struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn auto_traits() {
    fn send_sync<T: Send + Sync>() {}
    trait AmbiguousIfUnpin<A> {
        fn check() {}
    }
    impl<T: ?Sized> AmbiguousIfUnpin<()> for T {}
    impl<T: ?Sized + Unpin> AmbiguousIfUnpin<u8> for T {}
    send_sync::<Timer>();
    // Compiles only while `Timer` is not `Unpin`: tokio's list points into it.
    let () = <Timer as AmbiguousIfUnpin<_>>::check();
}

#[test]
fn a_timer_is_one_sleep_and_one_instant() {
    assert!(size_of::<Timer>() <= size_of::<tokio::time::Sleep>() + 16);
}

#[test]
fn unset_or_unpolled_needs_no_runtime() {
    let mut timer = pin!(Timer::new());
    assert_eq!(timer.deadline(), None);
    assert!(poll_once(timer.as_mut()).is_pending());
    let now = Instant::now();
    timer.as_mut().set(now);
    assert_eq!(timer.deadline(), Some(now));
    timer.as_mut().clear();
    assert_eq!(timer.deadline(), None);
    timer.set(now + ms(1));
    assert_eq!(Timer::at(Some(now)).deadline(), Some(now));
    assert_eq!(Timer::at(None).deadline(), None);
}

#[test]
fn a_past_deadline_is_ready_without_a_runtime() {
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(Instant::now());
    assert!(poll_once(timer.as_mut()).is_ready());
    assert!(poll_once(timer).is_ready(), "it stays ready");
}

#[tokio::test(start_paused = true)]
async fn elapses_at_its_deadline_and_stays_elapsed() {
    let started = Instant::now();
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(started + ms(7));
    elapsed(timer.as_mut()).await;
    assert_eq!(started.elapsed(), ms(7));
    elapsed(timer).await;
    assert_eq!(started.elapsed(), ms(7));
}

#[tokio::test(start_paused = true)]
async fn moved_later_and_earlier_while_waiting() {
    let started = Instant::now();
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(started + ms(50));
    assert!(poll_once(timer.as_mut()).is_pending());
    timer.as_mut().set(started + ms(80));
    assert!(poll_once(timer.as_mut()).is_pending());
    timer.as_mut().set(started + ms(20));
    elapsed(timer.as_mut()).await;
    assert_eq!(started.elapsed(), ms(20));

    timer.as_mut().set(started + ms(90));
    assert!(poll_once(timer.as_mut()).is_pending(), "it was set again after it had elapsed");
    elapsed(timer).await;
    assert_eq!(started.elapsed(), ms(90));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_registration_does_not_elapse_a_later_deadline() {
    let started = Instant::now();
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(started + ms(10));
    assert!(poll_once(timer.as_mut()).is_pending());
    timer.as_mut().set(started + ms(30));
    elapsed(timer).await;
    assert_eq!(started.elapsed(), ms(30));
}

#[tokio::test(start_paused = true)]
async fn a_cleared_timer_does_not_wake_or_move_the_clock() {
    let started = Instant::now();
    let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(started + ms(10));
    let waker = Waker::from(wakes.clone());
    assert!(timer.as_mut().poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
    timer.as_mut().clear();
    idle_in_real_time().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    advance(ms(100)).await;
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    assert!(poll_once(timer.as_mut()).is_pending());
}

#[tokio::test(start_paused = true)]
async fn the_latest_waker_is_woken() {
    let first = Arc::new(CountWakes(AtomicUsize::new(0)));
    let last = Arc::new(CountWakes(AtomicUsize::new(0)));
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(Instant::now() + ms(5));
    for wakes in [&first, &last] {
        let waker = Waker::from(wakes.clone());
        assert!(timer.as_mut().poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
    }
    advance(ms(6)).await;
    assert_eq!((first.0.load(Ordering::Relaxed), last.0.load(Ordering::Relaxed)), (0, 1));
}

#[tokio::test]
async fn a_blocked_thread_delays_the_wake_up_but_does_not_lose_it() {
    let mut timer = pin!(Timer::new());
    let deadline = Instant::now() + ms(5);
    timer.as_mut().set(deadline);
    assert!(poll_once(timer.as_mut()).is_pending());
    while Instant::now() < deadline {
        std::hint::spin_loop();
    }
    // There was no await in between, so the runtime could not run its timers.
    assert!(poll_once(timer).is_ready());
}

#[tokio::test(start_paused = true)]
async fn it_elapses_although_the_cooperative_budget_is_spent() {
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(Instant::now() + ms(5));
    assert!(poll_once(timer.as_mut()).is_pending());
    // `advance` runs the timers and gives this task a new budget. The task spends all of it here.
    advance(ms(5)).await;
    poll_fn(|cx| {
        while tokio::task::coop::has_budget_remaining() {
            let _ = pin!(tokio::task::coop::consume_budget()).as_mut().poll(cx);
        }
        assert!(timer.as_mut().poll_elapsed(cx).is_ready());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn armed_under_a_spent_budget_it_still_elapses_on_time() {
    let started = Instant::now();
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(started + ms(5));
    poll_fn(|cx| {
        while tokio::task::coop::has_budget_remaining() {
            let _ = pin!(tokio::task::coop::consume_budget()).as_mut().poll(cx);
        }
        timer.as_mut().poll_elapsed(cx)
    })
    .await;
    assert_eq!(started.elapsed(), ms(5));
}

#[tokio::test(start_paused = true)]
async fn the_caller_s_own_reading_of_the_clock_is_enough() {
    let started = Instant::now();
    let mut timer = pin!(Timer::new());
    assert!(poll_fn(|cx| Poll::Ready(timer.as_mut().poll_elapsed_at(cx, started))).await.is_pending());
    timer.as_mut().set(started + ms(5));
    assert!(poll_fn(|cx| Poll::Ready(timer.as_mut().poll_elapsed_at(cx, started))).await.is_pending());
    assert!(poll_fn(|cx| Poll::Ready(timer.as_mut().poll_elapsed_at(cx, started + ms(5)))).await.is_ready());
    poll_fn(|cx| timer.as_mut().poll_elapsed_at(cx, Instant::now())).await;
    assert_eq!(started.elapsed(), ms(5));
}

#[tokio::test]
async fn never_early_in_real_time_below_a_millisecond() {
    for micros in [1, 99, 100, 500, 999, 1_001, 1_999] {
        let mut timer = pin!(Timer::new());
        let deadline = Instant::now() + Duration::from_micros(micros);
        timer.as_mut().set(deadline);
        elapsed(timer).await;
        assert!(Instant::now() >= deadline, "{micros} us");
    }
}

#[tokio::test]
async fn the_latest_instant_there_is_does_not_panic() {
    let mut far = Instant::now();
    for step in (0..63).rev() {
        far = far.checked_add(Duration::from_secs(1 << step)).unwrap_or(far);
    }
    far = far.checked_add(Duration::from_nanos(999_999_999)).unwrap_or(far);
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(far);
    assert!(poll_once(timer.as_mut()).is_pending());
    timer.as_mut().set(Instant::now() + ms(1));
    assert!(poll_once(timer.as_mut()).is_pending());
    timer.as_mut().set(far);
    tokio::time::sleep(ms(3)).await;
    assert!(poll_once(timer).is_pending());
}

#[test]
fn dropped_on_another_thread_and_after_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let armed = |runtime: &tokio::runtime::Runtime| {
        let mut timer = Box::pin(Timer::new());
        timer.as_mut().set(Instant::now() + Duration::from_secs(60));
        runtime.block_on(async { assert!(poll_once(timer.as_mut()).is_pending()) });
        timer
    };
    let (one, other) = (runtime(), runtime());
    let timer = armed(&one);
    std::thread::spawn(move || drop(timer)).join().unwrap();
    let timer = armed(&one);
    other.block_on(async move { drop(timer) });
    let timer = armed(&one);
    drop(one);
    drop(timer);
}

#[tokio::test(start_paused = true)]
async fn it_tells_when_it_will_wake() {
    let now = Instant::now();
    let mut timer = pin!(Timer::new());
    timer.as_mut().set(now + Duration::from_secs(5));
    assert_eq!(timer.registered(), None);
    assert!(poll_once(timer.as_mut()).is_pending());
    assert_eq!(timer.registered(), Some(now + Duration::from_secs(5)));
    for (moved, registered) in [(8, 5), (3, 3)] {
        timer.as_mut().set(now + Duration::from_secs(moved));
        assert!(poll_once(timer.as_mut()).is_pending());
        assert_eq!(timer.registered(), Some(now + Duration::from_secs(registered)));
    }
    timer.as_mut().clear();
    assert_eq!(timer.registered(), None);
}
