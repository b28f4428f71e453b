//! Limits that a handle moves, joined errors, and tasks under a limit.

use std::{future::pending, io, time::Duration};

use outbound_timeout::{Deadline, Limit, TimeoutExt, TimeoutHandle, timeout, timeout_with};
use tokio::time::{Instant, sleep};

use crate::ms;

#[tokio::test(start_paused = true)]
async fn moved_from_inside_to_later_and_lifted() {
    let started = Instant::now();
    let late = timeout_with(Deadline::after(ms(10)), async |limit: TimeoutHandle| {
        sleep(ms(8)).await;
        limit.set(Deadline::after(ms(10)));
        assert_eq!(limit.deadline(), Deadline::at(started + ms(18)));
        sleep(ms(60)).await;
    });
    let elapsed = late.await.unwrap_err();
    assert_eq!(elapsed.limit(), Limit::Deadline);
    assert_eq!(started.elapsed(), ms(18));

    let lifted = timeout_with(Deadline::after(ms(10)), async |limit: TimeoutHandle| {
        limit.set(Deadline::NEVER);
        sleep(ms(1_000)).await;
        3
    });
    assert_eq!(lifted.await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn moved_from_inside_to_sooner_and_to_the_past() {
    let started = Instant::now();
    let sooner = timeout_with(None, async |limit: TimeoutHandle| {
        sleep(ms(5)).await;
        limit.set(Deadline::after(ms(2)));
        pending::<()>().await;
    });
    assert!(sooner.await.is_err());
    assert_eq!(started.elapsed(), ms(7));

    let at_once = timeout_with(None, async |limit: TimeoutHandle| {
        limit.set(started);
        pending::<()>().await;
    });
    assert!(at_once.await.is_err());
    assert_eq!(started.elapsed(), ms(7));
}

#[tokio::test(start_paused = true)]
async fn moved_from_another_task() {
    let started = Instant::now();
    for moved_to in [3_u64, 50] {
        let begun = Instant::now();
        let limited = timeout_with(Deadline::after(ms(20)), |_| pending::<()>());
        let handle = limited.handle();
        let mover = tokio::spawn(async move {
            sleep(ms(1)).await;
            handle.set(begun + ms(moved_to));
            handle
        });
        assert!(limited.await.is_err());
        assert_eq!(begun.elapsed(), ms(moved_to));
        let handle = mover.await.unwrap();
        assert!(handle.is_elapsed());
        handle.set(Deadline::NEVER);
        assert_eq!(
            handle.deadline(),
            Deadline::at(begun + ms(moved_to)),
            "after the end the handle changes nothing"
        );
    }
    assert_eq!(started.elapsed(), ms(53));
}

#[tokio::test(start_paused = true)]
async fn a_result_wins_and_a_handle_that_is_left_over_does_nothing() {
    let mut kept = None;
    let done = timeout_with(Instant::now(), |limit| {
        kept = Some(limit);
        async { 1 }
    });
    assert_eq!(done.await, Ok(1));
    let kept = kept.unwrap();
    assert!(!kept.is_elapsed());
    kept.set(Deadline::NEVER);
}

#[test]
fn moved_by_many_threads_at_once_it_still_ends() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let limited = timeout_with(None, |_| pending::<()>());
        let movers: Vec<_> = (0..4)
            .map(|mover| {
                let handle = limited.handle();
                tokio::spawn(async move {
                    for step in 0..500_u64 {
                        handle.set(Deadline::after(ms(1_000 - step)));
                        if step % 7 == mover {
                            tokio::task::yield_now().await;
                        }
                    }
                    handle.set(Deadline::after(ms(1)));
                })
            })
            .collect();
        timeout(Duration::from_secs(20), limited).await.expect("it ends").unwrap_err();
        for mover in movers {
            mover.await.unwrap();
        }
    });
}

#[tokio::test(start_paused = true)]
async fn joined_gives_one_error_type_for_both() {
    let limited = |takes: u64, result: io::Result<u8>| async move {
        let work = async {
            sleep(ms(takes)).await;
            result
        };
        work.timeout(ms(10)).joined().await
    };
    assert_eq!(limited(5, Ok(1)).await.unwrap(), 1);
    assert_eq!(
        limited(5, Err(io::ErrorKind::NotFound.into())).await.unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    assert_eq!(limited(50, Ok(1)).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_task_runs_on_after_its_limit_unless_it_is_aborted() {
    let task = tokio::spawn(sleep(ms(50)));
    let (watch, id) = (task.abort_handle(), task.id());
    assert!(timeout(ms(10), task).await.is_err());
    assert!(!watch.is_finished(), "the task {id} runs on");
    sleep(ms(60)).await;
    assert!(watch.is_finished());

    let mut task = tokio::spawn(sleep(ms(50)));
    assert!(timeout(ms(10), &mut task).await.is_err());
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}
