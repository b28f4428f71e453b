//! The lock: one holder at a time, also after a panic and after a long wait.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::lock::{Mutex, MutexGuard};

#[test]
fn two_threads_never_hold_it_at_once() {
    const THREADS: usize = 8;
    const ROUNDS: usize = if cfg!(miri) { 50 } else { 20_000 };
    let (mutex, begin) = (Mutex::new((0_usize, 0_usize)), Barrier::new(THREADS));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (mutex, begin) = (&mutex, &begin);
            scope.spawn(move || {
                begin.wait();
                for round in 0..ROUNDS {
                    let mut both = mutex.lock();
                    both.0 += 1;
                    // Some threads stop running while they hold the lock.
                    if (thread + round) % 97 == 0 {
                        thread::yield_now();
                    }
                    both.1 += 1;
                    assert_eq!(both.0, both.1);
                }
            });
        }
    });
    assert_eq!(*mutex.lock(), (THREADS * ROUNDS, THREADS * ROUNDS));
}

#[test]
fn a_failed_try_lock_releases_nothing() {
    let mutex = Mutex::new(1);
    let guard = mutex.lock();
    for _ in 0..3 {
        assert!(mutex.try_lock().is_none());
    }
    drop(guard);
    assert_eq!(mutex.try_lock().map(|value| *value), Some(1));
}

#[test]
fn a_panic_releases_it() {
    let mutex = Mutex::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut value = mutex.lock();
        *value = 2;
        resume_unwind(Box::new("a panic while the lock is held"));
    }));
    assert!(panicked.is_err());
    assert_eq!(*mutex.lock(), 2);
}

#[test]
fn a_thread_that_waits_long_enough_to_sleep_gets_the_lock() {
    let (mutex, asked) = (Mutex::new(0), AtomicBool::new(false));
    let guard = mutex.lock();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            asked.store(true, Ordering::SeqCst);
            *mutex.lock() += 1;
        });
        while !asked.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        // Long enough for the other thread to go from yielding to sleeping.
        for _ in 0..if cfg!(miri) { 100 } else { 20_000 } {
            thread::yield_now();
        }
        assert!(!waiting.is_finished());
        drop(guard);
    });
    assert_eq!(*mutex.lock(), 1);
}

trait NotSend<A> {
    fn holds() {}
}
impl<T: ?Sized> NotSend<()> for T {}
impl<T: ?Sized + Send> NotSend<u8> for T {}

#[test]
fn a_guard_stays_in_its_thread() {
    fn sync<T: Sync>() {}
    sync::<MutexGuard<'_, u8>>();
    sync::<Mutex<std::cell::Cell<u8>>>();
    // If it were `Send`, this call would be ambiguous and would not compile.
    <MutexGuard<'_, u8> as NotSend<_>>::holds();
}
