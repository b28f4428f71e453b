//! Loom models of the budget: every interleaving of a few threads.
//! `RUSTFLAGS="--cfg outbound_loom" cargo test -p outbound-retry --lib budget` runs them.

use loom::thread;

use super::Budget;

#[test]
fn the_last_retry_is_granted_once() {
    loom::model(|| {
        let budget = Budget::percent(0).reserve(1);
        let other = budget.clone();
        let other = thread::spawn(move || other.try_withdraw());
        let granted = [budget.try_withdraw(), other.join().unwrap()];
        assert_eq!(granted.into_iter().filter(|granted| *granted).count(), 1);
        assert_eq!((budget.available(), budget.denied()), (0, 1));
    });
}

#[test]
fn no_deposit_and_no_refund_is_lost() {
    loom::model(|| {
        let budget = Budget::percent(100).reserve(1).max(3);
        let other = budget.clone();
        let other = thread::spawn(move || {
            other.deposit();
            other.try_withdraw()
        });
        assert!(budget.try_withdraw());
        budget.refund();
        assert!(other.join().unwrap());
        assert_eq!(budget.available(), 1);
    });
}

#[test]
fn it_never_holds_more_than_its_maximum() {
    loom::model(|| {
        let budget = Budget::percent(150).reserve(0).max(2);
        let other = budget.clone();
        let other = thread::spawn(move || other.deposit());
        budget.deposit();
        other.join().unwrap();
        assert_eq!(budget.available(), 2);
    });
}
