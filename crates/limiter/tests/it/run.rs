//! Work that begins only once it has a permit.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures::FutureExt;
use outbound_limiter::ConcurrencyLimiter;

use crate::support::poll_once;

#[tokio::test]
async fn run_holds_its_permit_until_the_work_is_dropped() {
    struct Work(ConcurrencyLimiter, Arc<AtomicUsize>);
    impl Drop for Work {
        fn drop(&mut self) {
            self.1.store(self.0.in_use(), SeqCst);
        }
    }
    let limiter = ConcurrencyLimiter::new(1);
    let seen = Arc::new(AtomicUsize::new(9));
    let work = Work(limiter.clone(), Arc::clone(&seen));
    let run = limiter.run(|| async move {
        let work = work;
        work.0.in_use()
    });
    assert_eq!(run.await, 1);
    assert_eq!((seen.load(SeqCst), limiter.in_use()), (1, 0));

    let work = Work(limiter.clone(), Arc::clone(&seen));
    seen.store(9, SeqCst);
    let mut run = Box::pin(limiter.run(|| async move {
        let _work = work;
        std::future::pending::<()>().await;
    }));
    assert!(poll_once(run.as_mut()).is_pending());
    drop(run);
    assert_eq!((seen.load(SeqCst), limiter.in_use()), (1, 0));

    let panics =
        std::panic::AssertUnwindSafe(limiter.run(|| async { panic!("the work panics") })).catch_unwind();
    let result: Result<(), _> = panics.await;
    assert!(result.is_err());
    assert_eq!(limiter.in_use(), 0);
}

#[tokio::test]
async fn work_begins_once_it_has_its_permit() {
    let (limiter, begun) = (ConcurrencyLimiter::new(1), AtomicUsize::new(0));
    let held = limiter.acquire().await;
    let mut run = pin!(limiter.run(|| {
        begun.fetch_add(1, SeqCst);
        tokio::spawn(async { 7 })
    }));
    assert!(poll_once(run.as_mut()).is_pending());
    assert_eq!((begun.load(SeqCst), limiter.waiting()), (0, 1));
    drop(held);
    assert!(poll_once(run.as_mut()).is_pending());
    assert_eq!((begun.load(SeqCst), limiter.in_use()), (1, 1), "the permit is held until the task ends");
    assert_eq!(run.await.unwrap(), 7);
    assert_eq!(limiter.in_use(), 0);
}

#[tokio::test]
async fn a_closure_that_panics_gives_its_permit_back() {
    let limiter = ConcurrencyLimiter::new(1);
    let work = || -> std::future::Ready<()> { panic!("the closure panics") };
    let result = std::panic::AssertUnwindSafe(limiter.run(work)).catch_unwind().await;
    assert!(result.is_err());
    assert_eq!(limiter.in_use(), 0);
}
