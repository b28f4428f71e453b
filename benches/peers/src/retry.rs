//! Trying again: up to three attempts with no delay between them.

mod operation;
mod peers;

use std::hint::black_box;

use self::{
    operation::{FailsTwice, Operation, PendingOnce, Succeeds},
    peers::*,
};
use crate::case::{Case, Group};

pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            name: "retry/ok, ready",
            about: "The first attempt succeeds, at once.",
            rounds: 2_000,
            is_counted: true,
            cases: succeeding::<1, Succeeds>(),
        },
        Group {
            name: "retry/ok, pending once",
            about: "The first attempt succeeds, at its second poll.",
            rounds: 2_000,
            is_counted: true,
            cases: succeeding::<2, PendingOnce>(),
        },
        Group {
            name: "retry/two failures, no timer",
            about: "The third attempt succeeds, all at once; sleeps are ready futures where the crate would take a timer. \
                    tokio-retry, tokio-retry2 and again always take one.",
            rounds: 2_000,
            is_counted: true,
            cases: failing_without_timers(),
        },
        Group {
            name: "retry/two failures, default sleep",
            about: "The third attempt succeeds; a delay of zero, with the sleep that each crate comes with, awaited in \
                    tokio. tower comes with none.",
            rounds: 20,
            is_counted: true,
            cases: failing_with_default_sleeps(),
        },
    ]
}

fn succeeding<const POLLS: usize, O: Operation>() -> Vec<Case> {
    let (known_late, again_policy, execution) = (black_box(&OURS), &*AGAIN, &*EXECUTION);
    vec![
        Case::polled::<POLLS, _, _, _>("outbound", ours::<O>).ours(),
        Case::polled::<POLLS, _, _, _>(KNOWN_LATE, move || ours_by::<O>(known_late)).ours(),
        Case::polled::<POLLS, _, _, _>("backon", backon::<O>),
        Case::polled::<POLLS, _, _, _>("tokio-retry", tokio_retry::<O>),
        Case::polled::<POLLS, _, _, _>("tokio-retry2", tokio_retry2::<O>),
        Case::polled::<POLLS, _, _, _>("backoff", backoff::<O>),
        Case::polled::<POLLS, _, _, _>("again", move || again::<O>(again_policy)),
        Case::polled::<POLLS, _, _, _>("tower Retry", tower::<O>),
        Case::polled::<POLLS, _, _, _>("relentless", relentless::<O>),
        Case::polled::<POLLS, _, _, _>("execution-policy", move || execution_policy::<O>(execution)),
        Case::polled::<POLLS, _, _, _>("bare loop", bare_loop::<O>).floor(),
    ]
}

fn failing_without_timers() -> Vec<Case> {
    type Polled = FailsTwice<false>;
    let (known_late, execution) = (black_box(&OURS), &*EXECUTION);
    vec![
        Case::polled::<1, _, _, _>("outbound", ours::<Polled>).ours(),
        Case::polled::<1, _, _, _>(KNOWN_LATE, move || ours_by::<Polled>(known_late)).ours(),
        Case::polled::<1, _, _, _>("backon", backon_no_timer::<Polled>),
        Case::polled::<1, _, _, _>("backoff", backoff_no_timer::<Polled>),
        Case::polled::<1, _, _, _>("tower Retry", tower::<Polled>),
        // It yields before each retry.
        Case::polled::<3, _, _, _>("relentless", relentless_no_timer::<Polled>),
        Case::polled::<1, _, _, _>("execution-policy", move || execution_policy::<Polled>(execution)),
        Case::polled::<1, _, _, _>("bare loop", bare_loop::<Polled>).floor(),
    ]
}

fn failing_with_default_sleeps() -> Vec<Case> {
    type Awaited = FailsTwice<true>;
    let (again_policy, execution) = (&*AGAIN, &*EXECUTION);
    vec![
        Case::awaited("outbound", ours::<Awaited>).ours(),
        Case::awaited("backon", backon::<Awaited>),
        Case::awaited("tokio-retry", tokio_retry::<Awaited>),
        Case::awaited("tokio-retry2", tokio_retry2::<Awaited>),
        Case::awaited("backoff", backoff::<Awaited>),
        Case::awaited("again", move || again::<Awaited>(again_policy)),
        Case::awaited("relentless", relentless::<Awaited>),
        Case::awaited("execution-policy", move || execution_policy::<Awaited>(execution)),
        Case::awaited("bare loop", bare_loop::<Awaited>).floor(),
    ]
}

/// Ours with a policy that the compiler does not see.
const KNOWN_LATE: &str = "outbound, policy not constant";
