//! Closing, cancelling and waiting for the last request.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn forever() -> tokio::task::JoinHandle<()> {
    tokio::spawn(std::future::pending())
}

async fn is_cut_off(task: tokio::task::JoinHandle<()>) -> bool {
    tokio::time::timeout(SECOND, task).await.is_ok_and(|ended| ended.is_err_and(|error| error.is_cancelled()))
}

#[tokio::test(start_paused = true)]
async fn it_closes_once() {
    for abort in [false, true] {
        let lifecycle = Arc::new(Lifecycle::default());
        let active_request = lifecycle.register(None).expect("open");
        let task = forever();
        lifecycle.set_task(Some(active_request.key()), &task.abort_handle());
        if abort {
            lifecycle.abort();
            // A later close changes nothing.
            lifecycle.close();
        } else {
            lifecycle.close();
        }
        assert!(!lifecycle.is_open() && lifecycle.register(None).is_none());
        assert_eq!(is_cut_off(task).await, abort, "a drain lets run on what is inside");
        // A task that is set after the abort is aborted too.
        let late = forever();
        lifecycle.set_task(Some(active_request.key()), &late.abort_handle());
        assert_eq!(is_cut_off(late).await, abort);
        assert_eq!(lifecycle.active(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_used_again_by_one_at_a_time() {
    let lifecycle = Arc::new(Lifecycle::default());
    let (first, other) = (lifecycle.register(None).expect("open"), lifecycle.register(None).expect("open"));
    let left = first.key();
    assert_ne!(left.slot, other.key().slot);
    let gone = forever();
    lifecycle.set_task(Some(left), &gone.abort_handle());
    drop(first);
    assert!(lifecycle.requests.lock().slots[left.slot].task.is_none(), "a task that has ended is not kept");
    let next = lifecycle.register(None).expect("open");
    assert_eq!((next.key().slot, lifecycle.active()), (left.slot, 2));
    // Set late, the task of an earlier request is not taken for that of the next one in the slot.
    let (late, own) = (forever(), forever());
    lifecycle.set_task(Some(next.key()), &own.abort_handle());
    lifecycle.set_task(Some(left), &late.abort_handle());
    lifecycle.set_task(None, &late.abort_handle());
    lifecycle.abort();
    assert!(is_cut_off(own).await);
    assert!(!is_cut_off(gone).await, "nor is it cut off for one that has its slot");
}

#[tokio::test(start_paused = true)]
async fn drained_is_when_the_last_one_has_left() {
    let lifecycle = Arc::new(Lifecycle::default());
    let active_requests = [lifecycle.register(None), lifecycle.register(None)];
    lifecycle.close();
    let began = tokio::time::Instant::now();
    assert_eq!(lifecycle.wait_until_empty(SECOND * 5).await, 2);
    assert_eq!(began.elapsed(), SECOND * 5, "as long as the grace");
    tokio::spawn(async move {
        for active_request in active_requests {
            tokio::time::sleep(SECOND).await;
            drop(active_request);
        }
    });
    assert_eq!(lifecycle.wait_until_empty(SECOND * 60).await, 0);
    assert_eq!(began.elapsed(), SECOND * 7);
    assert_eq!(lifecycle.wait_until_empty(Duration::ZERO).await, 0);
}
