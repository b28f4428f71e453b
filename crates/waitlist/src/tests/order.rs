//! The order of waiters, compared with a `VecDeque` over random steps, and each single operation of a waiter.

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use proptest::prelude::*;

use crate::{Left, Scan, WaitList, Waiter, Wakers};

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

#[derive(Debug, Clone)]
enum Step {
    Enqueue(usize),
    Pop,
    Leave(usize),
    Drop(usize),
    WakeOdd,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8usize).prop_map(Step::Enqueue),
        2 => Just(Step::Pop),
        1 => (0..8usize).prop_map(Step::Leave),
        1 => (0..8usize).prop_map(Step::Drop),
        1 => Just(Step::WakeOdd),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_deque(steps in prop::collection::vec(step(), 0..60)) {
        let list = WaitList::new(());
        let mut waiters: Vec<Pin<Box<Waiter<(), usize>>>> = (0..8).map(|_| Box::pin(Waiter::new())).collect();
        let mut queued: VecDeque<usize> = VecDeque::new();
        let mut woken: Vec<usize> = Vec::new();
        for step in steps {
            match step {
                Step::Enqueue(i) => {
                    if waiters[i].is_idle() {
                        list.lock().enqueue(waiters[i].as_mut(), i, &mut Context::from_waker(Waker::noop()));
                        queued.push_back(i);
                    }
                }
                Step::Pop => {
                    let popped = list.lock().pop_front().is_some();
                    let expected = queued.pop_front();
                    prop_assert_eq!(popped, expected.is_some());
                    woken.extend(expected);
                }
                Step::Leave(i) => {
                    let left = list.lock().leave(waiters[i].as_mut());
                    if queued.contains(&i) {
                        prop_assert_eq!(left, Some(Left::Queued(i)));
                    } else if woken.contains(&i) {
                        prop_assert_eq!(left, Some(Left::Woken(i)));
                    } else {
                        prop_assert_eq!(left, None);
                    }
                    queued.retain(|q| *q != i);
                    woken.retain(|w| *w != i);
                }
                Step::Drop(i) => {
                    waiters[i] = Box::pin(Waiter::new());
                    queued.retain(|q| *q != i);
                    woken.retain(|w| *w != i);
                }
                Step::WakeOdd => {
                    let mut wakers = Wakers::new();
                    let scan = |_: &mut (), i: &mut usize| if *i % 2 == 1 { Scan::Wake } else { Scan::Keep };
                    prop_assert!(list.lock().scan(&mut wakers, scan));
                    woken.extend(queued.iter().filter(|i| *i % 2 == 1));
                    queued.retain(|i| i % 2 == 0);
                }
            }
            let mut locked = list.lock();
            prop_assert_eq!(locked.len(), queued.len());
            prop_assert_eq!(locked.front().map(|(_, i)| *i), queued.front().copied());
        }
        for i in woken {
            let polled = list.lock().poll_woken(waiters[i].as_mut(), &mut Context::from_waker(Waker::noop()));
            prop_assert_eq!(polled, Poll::Ready(i));
        }
    }
}

#[test]
fn a_waiter_polled_from_another_task_wakes_that_one() {
    let list = WaitList::new(());
    let mut waiter = pin!(Waiter::new());
    let (first, first_waker) = counting();
    let (second, second_waker) = counting();
    list.lock().enqueue(waiter.as_mut(), (), &mut Context::from_waker(&first_waker));
    assert!(list.lock().poll_woken(waiter.as_mut(), &mut Context::from_waker(&second_waker)).is_pending());
    list.lock().pop_front().expect("one waiter").wake();
    assert_eq!((first.get(), second.get()), (0, 1));
}

#[test]
fn a_nudge_leaves_the_head_in_line_and_wakes_it_once() {
    let list = WaitList::new(());
    let mut waiter = pin!(Waiter::new());
    let (count, waker) = counting();
    list.lock().enqueue(waiter.as_mut(), (), &mut Context::from_waker(&waker));
    list.lock().nudge_front().expect("not nudged yet").wake();
    assert!(list.lock().nudge_front().is_none());
    assert_eq!((count.get(), list.lock().len()), (1, 1));
    let popped = list.lock().pop_front();
    assert!(popped.is_some(), "a waiter was let go, though its waker was taken before");
    assert!(list.lock().poll_woken(waiter, &mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn a_full_batch_of_wakers_ends_the_round_not_the_scan() {
    let list = WaitList::new(());
    let (count, waker) = counting();
    let mut waiters: Vec<_> = (0..40).map(|_| Box::pin(Waiter::new())).collect();
    for waiter in &mut waiters {
        list.lock().enqueue(waiter.as_mut(), (), &mut Context::from_waker(&waker));
    }
    let mut rounds = 0;
    loop {
        let mut wakers = Wakers::new();
        rounds += 1;
        if list.lock().scan(&mut wakers, |(), ()| Scan::Wake) {
            break;
        }
    }
    assert_eq!((rounds, count.get(), list.lock().len()), (3, 40, 0));
}

#[test]
fn a_list_lives_as_long_as_its_last_waiter() {
    let list = WaitList::new(String::from("state"));
    let mut waiter = Box::pin(Waiter::new());
    list.lock().enqueue(waiter.as_mut(), (), &mut Context::from_waker(Waker::noop()));
    drop(list);
    assert!(!waiter.is_idle());
    drop(waiter);
}

#[test]
#[should_panic(expected = "another list")]
fn a_waiter_belongs_to_one_list() {
    let (one, other) = (WaitList::new(()), WaitList::new(()));
    let mut waiter = pin!(Waiter::new());
    one.lock().enqueue(waiter.as_mut(), (), &mut Context::from_waker(Waker::noop()));
    let _ = other.lock().leave(waiter);
}

#[test]
fn auto_traits() {
    fn send_sync<T: Send + Sync>() {}
    trait NotUnpin<A> {
        fn holds() {}
    }
    impl<T: ?Sized> NotUnpin<()> for T {}
    impl<T: ?Sized + Unpin> NotUnpin<u8> for T {}
    send_sync::<WaitList<Vec<u8>, String>>();
    send_sync::<Waiter<Vec<u8>, String>>();
    send_sync::<Wakers>();
    // If the type were `Unpin`, this call would be ambiguous and would not compile.
    <Waiter<(), ()> as NotUnpin<_>>::holds();
}

#[test]
fn lines_share_only_the_lock_and_the_state() {
    let list: WaitList<(), usize, 2> = WaitList::with_lines(());
    let cx = &mut Context::from_waker(Waker::noop());
    let mut waiters: Vec<_> = (0..4).map(|_| Box::pin(Waiter::new())).collect();
    for (i, waiter) in waiters.iter_mut().enumerate() {
        list.lock().line(i % 2).enqueue(waiter.as_mut(), i, cx);
    }
    let mut locked = list.lock();
    assert!(!locked.nobody_waits());
    assert_eq!((locked.line(0).len(), locked.line(1).len()), (2, 2));
    assert_eq!(locked.leave(waiters[1].as_mut()), Some(Left::Queued(1)));
    assert_eq!(locked.line(1).front().map(|(_, i)| *i), Some(3));
    assert!(locked.line(1).pop_front().is_some());
    assert!(locked.line(1).pop_front().is_none());
    assert_eq!(locked.len(), 2);
    assert_eq!(locked.poll_woken(waiters[3].as_mut(), cx), Poll::Ready(3));
}

#[test]
fn a_waiter_can_be_put_ahead_of_others() {
    let list = WaitList::new(());
    let cx = &mut Context::from_waker(Waker::noop());
    let mut waiters: Vec<_> = (0..6).map(|_| Box::pin(Waiter::new())).collect();
    for (i, rank) in [5, 3, 5, 1, 3, 9].into_iter().enumerate() {
        list.lock().line(0).enqueue_after(waiters[i].as_mut(), (rank, i), cx, |other, own| other.0 <= own.0);
    }
    let mut order = Vec::new();
    let mut locked = list.lock();
    while let Some(value) = locked.front().map(|(_, value)| *value) {
        order.push(value);
        assert!(locked.pop_front().is_some());
    }
    drop(locked);
    assert_eq!(order, [(1, 3), (3, 1), (3, 4), (5, 0), (5, 2), (9, 5)]);
}

#[test]
fn nudges_go_down_the_line_and_a_waiter_that_was_polled_is_nudged_again() {
    let list = WaitList::new(());
    let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(Waiter::new())).collect();
    let (counts, wakers): (Vec<_>, Vec<_>) = (0..3).map(|_| counting()).unzip();
    for (waiter, waker) in waiters.iter_mut().zip(&wakers) {
        list.lock().enqueue(waiter.as_mut(), (), &mut Context::from_waker(waker));
    }
    let nudge = || list.lock().line(0).nudge_next().map(|(waker, _)| waker.wake()).is_some();
    assert!(nudge() && nudge());
    assert!(list.lock().is_nudged(waiters[0].as_mut()));
    assert!(!list.lock().is_nudged(waiters[2].as_mut()));
    // The first waiter is polled and stays pending, so it is the next to be nudged.
    assert!(list.lock().poll_woken(waiters[0].as_mut(), &mut Context::from_waker(&wakers[0])).is_pending());
    assert!(nudge() && nudge());
    assert!(!nudge(), "all have been nudged");
    assert_eq!(counts.iter().map(|count| count.get()).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!(list.lock().len(), 3);
}
